"""The map over a .pmtiles file that this server hands out, in a real browser."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from playwright.async_api import Browser

from flexlive.domain.deliveries import DeliveryStatus
from tests.conftest import with_database
from tests.support.chromium import PHONE
from tests.support.http_server import Server, serve
from tests.support.pmtiles import one_tile
from tests.support.tracking import move, token_of
from tests.support.world import build_world

pytestmark = pytest.mark.asyncio(loop_scope="module")

RED = (200, 60, 60)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def mapped(
    postgres_dsn: str, database_template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Server, Path]]:
    path = tmp_path_factory.mktemp("map") / "town.pmtiles"
    path.write_bytes(one_tile(RED))
    name = f"flexlive_test_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute(f'create database "{name}" template "{database_template}"')
    async with serve(with_database(postgres_dsn, name), basemap=str(path)) as running:
        yield running, path
    await connection.execute(f'drop database "{name}" with (force)')
    await connection.close()


async def test_the_file_is_handed_out_in_ranges(mapped: tuple[Server, Path]) -> None:
    server, path = mapped
    whole = path.read_bytes()
    plain = await server.http.get("/static/basemap.pmtiles")
    assert (plain.status_code, plain.content) == (200, whole)
    part = await server.http.get("/static/basemap.pmtiles", headers={"range": "bytes=5-9"})
    assert (part.status_code, part.content) == (206, whole[5:10])
    assert part.headers["content-range"] == f"bytes 5-9/{len(whole)}"
    beyond = await server.http.get("/static/basemap.pmtiles", headers={"range": f"bytes={len(whole)}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(whole)}")
    old = await server.http.get("/static/basemap.pmtiles", headers={"range": "bytes=5-9", "if-range": '"old"'})
    assert old.status_code == 200


async def test_the_map_is_drawn_on_it(mapped: tuple[Server, Path], browser: Browser) -> None:
    server, _ = mapped
    world = await build_world(server.ctx)
    [driver] = await world.add_drivers(1)
    created = await world.order()
    await move(world, created.delivery_id, DeliveryStatus.ENROUTE_TO_DROPOFF, driver.driver_id)
    context = await browser.new_context(**PHONE)
    page = await context.new_page()
    faults: list[str] = []
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    await page.goto(f"{server.url}/t/{token_of(created)}")
    await page.locator("#map[data-drawn]").wait_for(timeout=15_000)
    # Its attribution comes from the archive, so the archive was read.
    await page.locator(".maplibregl-ctrl-attrib", has_text="Made for a test").wait_for(timeout=5000, state="attached")
    assert faults == []
    await context.close()
