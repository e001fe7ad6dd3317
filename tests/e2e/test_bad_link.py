"""Phones behind a link that loses, doubles, reorders and swallows frames: nothing happens twice, no answer differs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from random import Random

import pytest

from flexlive.client.backoff import BackoffOptions
from flexlive.client.driver_client import DriverClient
from flexlive.client.options import ClientOptions
from flexlive.domain.markets import MarketPolicy
from load_tests.busy_driver import BusyDriver
from load_tests.command_history import CommandHistory
from load_tests.command_judge import judge
from load_tests.mangled_link import BadLink, bad_link_to
from load_tests.mangler import LinkFaults
from tests.support.server_process import running_server
from tests.support.world import SITE, World, build_world, open_test_context

DRIVERS = 8
COMMANDS_EACH = 12
ORDER_PAUSE_SECONDS = 2.0
BAD_SECONDS = 6.0
DONE_SECONDS_MAX = 60.0
# Few commands: so that repetitions come on the heels of what follows, each is held longer and twice as many come.
FAULTS = LinkFaults(
    duplicated_share=0.4,
    pause_share=0.4,
    pause_seconds_max=0.3,
    half_open_every_seconds=3,
    half_open_seconds_min=0.2,
    half_open_seconds_max=1,
)
CLIENT = ClientOptions(
    backoff=BackoffOptions(base_seconds=0.05, cap_seconds=0.5),
    opening_timeout_seconds=2.0,
    command_timeout_seconds=DONE_SECONDS_MAX,
    rate_limit_retries_max=1000,
)


def drivers_behind(link: BadLink, world: World) -> list[BusyDriver]:
    drivers: list[BusyDriver] = []
    for number, (principal, token) in enumerate(zip(world.drivers, world.driver_tokens, strict=True)):
        history = CommandHistory(principal.driver_id, f"phone-{number}")
        url = f"ws://127.0.0.1:{link.port}/v1/driver"
        client = DriverClient(url, token, history.device_id, options=CLIENT, observer=history)
        drivers.append(BusyDriver(client, history, SITE, Random(number)))
    return drivers


async def keep_ordering(world: World) -> None:
    while True:
        await world.order()
        await asyncio.sleep(ORDER_PAUSE_SECONDS)


async def work(drivers: Sequence[BusyDriver], link: BadLink) -> None:
    """Everybody's commands, the link bad for the first of them."""
    working = asyncio.gather(*(driver.run(COMMANDS_EACH) for driver in drivers))
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(working), BAD_SECONDS)
    link.heal()
    async with asyncio.timeout(DONE_SECONDS_MAX):
        await working


@pytest.mark.timeout(150)
async def test_one_effect_and_one_answer_a_command_whatever_the_link_does(database_url: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        ctx = await stack.enter_async_context(open_test_context(database_url))
        policy = MarketPolicy(offer_policy="broadcast", offer_ttl_seconds=300, reoffer_delay_seconds=0.5)
        world = await build_world(ctx, policy=policy)
        await world.add_drivers(DRIVERS, online=False)
        server = await stack.enter_async_context(running_server(database_url, tmp_path))
        link = await stack.enter_async_context(bad_link_to(server.port, FAULTS, seed=7))
        drivers = drivers_behind(link, world)
        for driver in drivers:
            await stack.enter_async_context(driver.client)
        ordering = asyncio.create_task(keep_ordering(world))
        await work(drivers, link)
        ordering.cancel()
        await asyncio.gather(ordering, return_exceptions=True)
        async with asyncio.timeout(DONE_SECONDS_MAX):
            await asyncio.gather(*(driver.converged() for driver in drivers))

        verdict = await judge(ctx.pool, world.market_id, [driver.history for driver in drivers])
        assert verdict.broken == ()
        assert verdict.audit_findings == ()
        assert verdict.answered == verdict.commands >= DRIVERS * COMMANDS_EACH
        # The link did what it is there for.
        assert min(link.counts[what] for what in ("dropped", "duplicated", "reordered", "half_open")) > 0
        assert "Traceback" not in server.log
