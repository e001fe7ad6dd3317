"""kill -9 of the server in the middle of an accept storm: what a phone was told holds, and nobody wins twice."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import UUID

import pytest

from flexlive.client.driver_client import DriverClient
from flexlive.domain.markets import MarketPolicy
from flexlive.protocol.driver import OfferAccept
from flexlive.storage import audit
from tests.support.server_process import ServerProcess, running_server
from tests.support.world import SITE, World, build_world, open_test_context

DRIVERS = 40
ORDERS = 30
KILLS = 2
CONVERGED_SECONDS_MAX = 30.0


async def connected(client: DriverClient) -> None:
    async with asyncio.timeout(CONVERGED_SECONDS_MAX):
        while not client.connected:
            await asyncio.sleep(0.02)


async def racing(client: DriverClient, rng: random.Random, wins: defaultdict[UUID, list[int]], number: int) -> None:
    """Accept whatever is on the phone, again and again; the client repeats what was not answered."""
    tried: set[UUID] = set()
    while True:
        fresh = [offer for offer in client.state.offers.values() if offer.offer_id not in tried]
        if not fresh:
            await asyncio.sleep(0.02)
            continue
        offer = rng.choice(fresh)
        tried.add(offer.offer_id)
        command = OfferAccept(cmd=client.next_cmd(), offer_id=offer.offer_id, offer_version=offer.offer_version)
        result = await client.command(command)
        if result.code == "won":
            wins[offer.offer_id].append(number)


async def kill_and_restart(server: ServerProcess, rng: random.Random) -> None:
    for _ in range(KILLS):
        await asyncio.sleep(rng.uniform(0.05, 0.4))
        await server.kill()
        await server.start()


@pytest.mark.timeout(120)
async def test_kill_9_in_an_accept_storm(database_url: str, tmp_path: Path) -> None:
    rng = random.Random(5)
    wins: defaultdict[UUID, list[int]] = defaultdict(list)
    async with AsyncExitStack() as stack:
        ctx = await stack.enter_async_context(open_test_context(database_url))
        world = await build_world(ctx, drivers=DRIVERS, policy=MarketPolicy(offer_ttl_seconds=600))
        server = await stack.enter_async_context(running_server(database_url, tmp_path))
        clients = [
            await stack.enter_async_context(DriverClient(server.socket_url, token, f"phone-{number}"))
            for number, token in enumerate(world.driver_tokens)
        ]
        await asyncio.gather(*map(connected, clients))
        races = [
            asyncio.create_task(racing(client, random.Random(number), wins, number))
            for number, client in enumerate(clients)
        ]
        await asyncio.gather(place_orders(world), kill_and_restart(server, rng))
        await everything_taken(world)
        async with asyncio.timeout(CONVERGED_SECONDS_MAX):
            await asyncio.gather(*(client.all_answered() for client in clients))
        # A phone whose win was committed in the moment of a kill hears of it by retrying the same cmd.
        await asyncio.sleep(0.2)
        for race in races:
            race.cancel()
        await asyncio.gather(*races, return_exceptions=True)
        committed = await audit.wins(ctx.pool, world.market_id)
        assert len(committed) == ORDERS
        assert {offer_id: [world.drivers[n].driver_id for n in numbers] for offer_id, numbers in wins.items()} == {
            offer_id: [driver_id] for offer_id, driver_id in committed.items()
        }
        assert await audit.findings(ctx.pool, world.market_id) == []
        assert "Traceback" not in server.log


async def place_orders(world: World) -> None:
    """Straight into the database: the merchant's side is not what is killed here."""
    for _ in range(ORDERS):
        await world.order(dropoff_lat=SITE[0] + 0.01)
        await asyncio.sleep(0.03)


async def everything_taken(world: World) -> None:
    async with asyncio.timeout(CONVERGED_SECONDS_MAX):
        while await world.ctx.pool.fetchval("select count(*) from delivery where status = 'created'"):
            await asyncio.sleep(0.1)
