"""The client library as its document shows it, and an app that is killed with work on its hands."""

from __future__ import annotations

import asyncio
import io
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flexlive.client import DriverClient, LateAnswer, OfflineStore
from flexlive.client.messages import Point, PresenceSet
from flexlive.lab.processes import free_port
from flexlive.protocol import ops
from flexlive.services import enrolments
from flexlive.services.code_sender import ConsoleSender
from flexlive.services.login import LoginDesk
from tests.support.http_server import serve
from tests.support.world import SITE, build_world

ROOT = Path(__file__).parents[2]
PHONE = "+17025550123"
WAIT_SECONDS_MAX = 20.0


@asynccontextmanager
async def app(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The app as a process of its own; killed with -9 at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.e2e.offline_app", *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


async def said(process: asyncio.subprocess.Process) -> list[str]:
    assert process.stdout is not None
    lines: list[str] = []
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while not lines or lines[-1] != "done":
            line = await process.stdout.readline()
            assert line, "the app has ended"
            lines.append(line.decode().strip())
    return lines[:-1]


async def test_what_a_killed_app_had_on_its_hands_is_done_once_and_in_order(database_url: str, tmp_path: Path) -> None:
    path, nowhere = tmp_path / "app.db", f"ws://127.0.0.1:{free_port('127.0.0.1')}/v1/driver"
    async with serve(database_url) as server:
        world = await build_world(server.ctx, drivers=1)
        token, url = world.driver_tokens[0], server.url.replace("http", "ws") + "/v1/driver"
        given: list[str] = []
        # Killed in the basement, started again there, and killed again.
        for modes in (["offline", "online"], ["offline"]):
            async with app(str(path), nowhere, token, *modes) as process:
                given += await said(process)
        answered: list[LateAnswer] = []
        with OfflineStore(path) as store:
            assert [command.cmd for command in store.commands()] == given
            async with DriverClient(url, token, store=store) as client, asyncio.timeout(WAIT_SECONDS_MAX):
                async for message in client:
                    if isinstance(message, LateAnswer):
                        answered.append(message)
                    if len(answered) == len(given):
                        break
            device_id = store.device_id
            assert store.commands() == ()
        assert [(each.result.cmd, each.result.code) for each in answered] == [(cmd, "ok") for cmd in given]
        stored = await server.ctx.pool.fetch("select cmd from command_result where device_id = $1", device_id)
        assert sorted(row["cmd"] for row in stored) == sorted(given)
        presence = await server.ctx.pool.fetchval("select presence from driver")
        assert presence == "offline"


async def test_an_app_killed_while_it_is_served_leaves_nothing_half_done(database_url: str, tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    async with serve(database_url) as server:
        world = await build_world(server.ctx, drivers=1)
        token, url = world.driver_tokens[0], server.url.replace("http", "ws") + "/v1/driver"
        async with app(str(path), url, token, *["online", "offline"] * 6) as process:
            given = await said(process)
        with OfflineStore(path) as store:
            async with DriverClient(url, token, store=store) as client, asyncio.timeout(WAIT_SECONDS_MAX):
                await client.all_answered()
            stored = await server.ctx.pool.fetch("select cmd from command_result where device_id = $1", store.device_id)
        assert sorted(row["cmd"] for row in stored) == sorted(given)


async def test_the_examples_of_the_document(database_url: str, tmp_path: Path, capsys: Any) -> None:
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs/client.md").read_text(), re.MULTILINE | re.DOTALL):
        exec(block, names)
    async with serve(database_url) as server:
        world = await build_world(server.ctx)
        new = ops.NewDriver(first_name="Ada", phone=PHONE, offer_types=("retail_delivery",))
        await enrolments.provision(server.ctx, world.market_id, ops.ProvisionDrivers(drivers=(new,)))
        terminal = io.StringIO()
        server.app.state.login_desk = LoginDesk(ConsoleSender(terminal.write), server.app.state.login_desk.options)

        async def code() -> str:
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                while not terminal.getvalue():
                    await asyncio.sleep(0.01)
            return terminal.getvalue().split()[2]

        url = server.url.replace("http", "ws") + "/v1/driver"
        with OfflineStore(tmp_path / "app.db") as store:
            login = await names["log_in"](server.url, world.market_id, PHONE, store, code)
            here = Point(lat=SITE[0], lon=SITE[1], at=datetime.now(UTC), accuracy_m=5)
            driving = asyncio.create_task(names["drive"](url, login, store, here))
            order = await _ordered_once_online(server, world, driving)
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                route = await driving
            carried = {each.delivery_id for stop in route.stops for each in stop.deliveries}
            assert order.delivery_id in carried
            assert store.tokens == login.tokens
        away = PresenceSet(cmd="from-the-basement", mode="offline")
        await names["report_from_the_basement"]("ws://127.0.0.1:9/v1/driver", login, tmp_path / "app.db", away)
        with OfflineStore(tmp_path / "app.db") as store:
            assert store.commands() == (away,)
            again = await names["log_in"](server.url, world.market_id, PHONE, store, code)
            async with DriverClient(url, again, store=store) as client, asyncio.timeout(WAIT_SECONDS_MAX):
                await client.all_answered()
        await asyncio.gather(login.close(), again.close())
    assert "won" in capsys.readouterr().out


async def _ordered_once_online(server: Any, world: Any, driving: asyncio.Task[Any]) -> Any:
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while await server.ctx.pool.fetchval("select count(*) from driver where presence = 'online'") == 0:
            assert not driving.done(), driving.result()
            await asyncio.sleep(0.02)
    return await world.order()
