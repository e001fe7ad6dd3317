"""Several server processes on one port: replaced, killed, cut off from each other – phones lose nothing by it."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from flexlive.client.driver_client import DriverClient
from flexlive.domain.markets import MarketPolicy
from flexlive.lab.process_tree import lives
from flexlive.protocol.driver import OfferAccept
from flexlive.storage import audit
from flexlive.web.listening import listen
from tests.support.process_family import SECONDS_MAX, running_family, until
from tests.support.world import SITE, World, build_world, open_test_context

DRIVERS = 24
ORDERS = 20


async def racing(client: DriverClient, rng: random.Random, wins: defaultdict[UUID, list[int]], number: int) -> None:
    tried: set[UUID] = set()
    while True:
        fresh = [offer for offer in client.state.offers.values() if offer.offer_id not in tried]
        if not fresh:
            await asyncio.sleep(0.02)
            continue
        offer = rng.choice(fresh)
        tried.add(offer.offer_id)
        command = OfferAccept(cmd=client.next_cmd(), offer_id=offer.offer_id, offer_version=offer.offer_version)
        if (await client.command(command)).code == "won":
            wins[offer.offer_id].append(number)


async def ordering(world: World, stop: asyncio.Event) -> None:
    while not stop.is_set() and world.orders < ORDERS:
        await world.order(dropoff_lat=SITE[0] + 0.01)
        await asyncio.sleep(0.5)


@pytest.mark.timeout(400)
async def test_nothing_is_lost_by_restarts_deaths_and_silence(database_url: str, tmp_path: Path) -> None:
    wins: defaultdict[UUID, list[int]] = defaultdict(list)
    async with AsyncExitStack() as stack:
        ctx = await stack.enter_async_context(open_test_context(database_url))
        world = await build_world(ctx, drivers=DRIVERS, policy=MarketPolicy(offer_ttl_seconds=600))
        family = await stack.enter_async_context(running_family(database_url, tmp_path))
        assert len({each["process"] for each in await family.readiness()}) == 2
        clients = [
            await stack.enter_async_context(DriverClient(family.socket_url, token, f"phone-{number}"))
            for number, token in enumerate(world.driver_tokens)
        ]
        await until(lambda: all(client.connected for client in clients))
        assert await family.figure("flexlive_driver_sockets") == DRIVERS
        assert await family.figure("flexlive_bus_connected") == 2
        counted = await family.figure("flexlive_chain_facts_total")
        races = [
            asyncio.create_task(racing(client, random.Random(number), wins, number))
            for number, client in enumerate(clients)
        ]
        enough = asyncio.Event()
        orders = asyncio.create_task(ordering(world, enough))

        before = family.children()
        await family.rolling_restart()
        assert not set(before) & set(family.children())
        assert await family.figure("flexlive_chain_facts_total") > counted

        os.kill(family.children()[0], signal.SIGKILL)
        await until(lambda: "process_died" in family.log)
        assert len({each["process"] for each in await family.readiness()}) == 2

        frozen = family.nats()
        os.kill(frozen, signal.SIGSTOP)
        await family.buses("degraded")
        during = await world.order(dropoff_lat=SITE[0] + 0.01)
        await until_taken(world, during.delivery_id)
        os.kill(frozen, signal.SIGKILL)
        await family.buses("ok")
        assert family.nats() != frozen

        enough.set()
        await orders
        await until_taken(world)
        async with asyncio.timeout(SECONDS_MAX):
            await asyncio.gather(*(client.all_answered() for client in clients))
        await asyncio.sleep(0.2)
        for race in races:
            race.cancel()
        await asyncio.gather(*races, return_exceptions=True)
        committed = await audit.wins(ctx.pool, world.market_id)
        assert len(committed) == world.orders
        assert {offer_id: [world.drivers[n].driver_id for n in numbers] for offer_id, numbers in wins.items()} == {
            offer_id: [driver_id] for offer_id, driver_id in committed.items()
        }
        assert await audit.findings(ctx.pool, world.market_id) == []

        pids = [*family.children(), family.nats()]
        began = time.monotonic()
        assert await family.parent.stop() == 0
        assert time.monotonic() - began < 30
        assert not [pid for pid in pids if lives(pid)]
        assert "Traceback" not in family.log


async def until_taken(world: World, delivery_id: UUID | None = None) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while await world.ctx.pool.fetchval(
            "select count(*) from delivery where status = 'created' and ($1::uuid is null or delivery_id = $1)",
            delivery_id,
        ):
            await asyncio.sleep(0.1)


async def test_a_process_ends_with_its_parent(database_url: str, tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with listen("127.0.0.1", 0) as listener, (tmp_path / "log").open("wb") as log:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        descriptors = (listener.fileno(), theirs.fileno())
        child = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "flexlive",
                "serve-process",
                *(f"--listener {descriptors[0]} --parent {descriptors[1]}".split()),
            ],
            pass_fds=descriptors,
            env={**os.environ, "FLEXLIVE_DATABASE_URL": database_url},
            stderr=log,
        )
        theirs.close()
        try:
            ours.settimeout(SECONDS_MAX)
            assert await asyncio.to_thread(ours.recv, 1) == b"r"
            async with httpx.AsyncClient(timeout=5.0, trust_env=False) as http:
                assert (await http.get(f"{url}/readyz")).json()["bus"] == "ok"
            ours.close()
            await asyncio.to_thread(child.wait, 30)
        finally:
            child.kill()
            child.wait()


async def test_an_address_in_use_is_told_before_anything_starts(tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        ended = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "flexlive", "serve", "--processes", "2", "--port", str(port)],
            env={**os.environ, "FLEXLIVE_DATA_DIR": str(tmp_path / "data")},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert ended.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in ended.stderr
    assert not (tmp_path / "data").exists()
