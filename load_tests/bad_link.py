"""Many drivers behind a link that doubles 20 % of all frames, loses 10 %, reorders within 8 and goes half-open: every
command has one effect and one answer (I4), a win is a committed row (I5), and once the faults stop every phone knows
what a fresh snapshot says (I8).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time
from collections import Counter as Tally
from collections.abc import Sequence
from random import Random

import msgspec

from flexlive.client.backoff import BackoffOptions
from flexlive.client.driver_client import DriverClient
from flexlive.client.options import ClientOptions
from flexlive.domain.markets import MarketPolicy
from flexlive.lab.ops_client import OpsClient
from flexlive.protocol.ops import DriverProvisioned
from load_tests.busy_driver import BusyDriver
from load_tests.command_history import CommandHistory
from load_tests.command_judge import Verdict, judge
from load_tests.house import House, HouseOptions, add_house_arguments, house_options, machine, open_house, run, tell
from load_tests.link_process import link_process
from load_tests.mangled_link import HOST
from load_tests.town import Counter, Town, furnish, hire

MARKET = "badlinks"
DRIVERS_A_SITE = 25
CONVERGED_SECONDS_MAX = 30.0
CONNECTING_A_SECOND = 100.0
PROGRESS_SECONDS = 15.0
POLICY = MarketPolicy(offer_policy="broadcast", offer_ttl_seconds=300.0, reoffer_delay_seconds=5.0)
CLIENT = ClientOptions(
    app_version="load-test",
    opening_timeout_seconds=5.0,
    backoff=BackoffOptions(base_seconds=0.25, cap_seconds=4.0),
    # Nobody gives up: a command without an answer is what this is looking for.
    command_timeout_seconds=24 * 3600.0,
    rate_limit_retries_max=100_000,
)


class BadLinkReport(msgspec.Struct, frozen=True):
    """seconds: from the first command to the last answer. converged_seconds: of the slowest phone, from the moment the
    link was healed. ended: drivers whose client gave up, which none may."""

    drivers: int
    processes: int
    seconds: float
    commands_per_second: float
    link: dict[str, int]
    openings: dict[str, int]
    closes: dict[str, int]
    noticed: dict[str, int]
    ended: tuple[str, ...]
    converged_seconds: float | None
    verdict: Verdict
    server_errors: tuple[str, ...]
    machine: dict[str, object]

    @property
    def ok(self) -> bool:
        converged = self.converged_seconds is not None and self.converged_seconds <= CONVERGED_SECONDS_MAX
        return self.verdict.ok and converged and not self.ended and not self.server_errors


def crew(
    url: str, drivers: Sequence[DriverProvisioned], places: Sequence[tuple[float, float]], seed: int
) -> list[BusyDriver]:
    """Drivers with their phones, not connected yet; neighbours in the list stand at different doors."""
    busy: list[BusyDriver] = []
    for number, driver in enumerate(drivers):
        history = CommandHistory(driver.driver_id, f"phone-{number}")
        client = DriverClient(url, driver.access_token, history.device_id, options=CLIENT, observer=history)
        busy.append(BusyDriver(client, history, places[number % len(places)], Random(f"{seed} {number}")))
    return busy


async def keep_ordering(counter: Counter, sites: int, pause_seconds: float) -> None:
    """One order after the other, site by site, until cancelled."""
    number = 0
    while True:
        await counter.order(f"order-{number}", number % sites)
        number += 1
        await asyncio.sleep(pause_seconds)


async def converged(drivers: Sequence[BusyDriver]) -> float | None:
    """Seconds until every phone knows what a fresh snapshot says; None when one does not in time."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(CONVERGED_SECONDS_MAX):
            await asyncio.gather(*(driver.converged() for driver in drivers))
    except TimeoutError:
        return None
    return round(time.monotonic() - began, 2)


async def measure(
    options: HouseOptions, drivers: int, commands: int, order_pause_seconds: float, seed: int
) -> BadLinkReport:
    async with open_house(options) as house:
        async with OpsClient(house.base_url, house.ops_token) as ops:
            town = await furnish(ops, MARKET, max(1, drivers // DRIVERS_A_SITE), POLICY)
            hired = await hire(ops, town, drivers)
        async with contextlib.AsyncExitStack() as stack:
            link = await stack.enter_async_context(link_process(house.port, seed, house.directory / "link.log"))
            counter = await stack.enter_async_context(Counter(house.base_url, town))
            busy = crew(f"ws://{HOST}:{link.port}/v1/driver", hired, town.places, seed)
            began = time.monotonic()
            ordering = asyncio.create_task(keep_ordering(counter, len(town.places), order_pause_seconds))
            telling = asyncio.create_task(_progress(busy, commands))
            ended = await _all_work(stack, busy, -(-commands // drivers))
            seconds = time.monotonic() - began
            for task in (ordering, telling):
                task.cancel()
            await asyncio.gather(ordering, telling, return_exceptions=True)
            await link.heal()
            settled = await converged(busy)
            return await _report(house, town, busy, ended, seconds, settled, await link.counts())


async def _all_work(stack: contextlib.AsyncExitStack, busy: Sequence[BusyDriver], commands: int) -> list[str]:
    """Every driver's commands and answers; who could not go on, and why."""

    async def work(number: int, driver: BusyDriver) -> None:
        await asyncio.sleep(number / CONNECTING_A_SECOND)
        await stack.enter_async_context(driver.client)
        await driver.run(commands)

    outcomes = await asyncio.gather(
        *(work(number, driver) for number, driver in enumerate(busy)), return_exceptions=True
    )
    return [
        f"{driver.history.device_id}: {type(outcome).__name__}: {outcome}"
        for driver, outcome in zip(busy, outcomes, strict=True)
        if outcome is not None
    ]


async def _progress(busy: Sequence[BusyDriver], commands: int) -> None:
    while True:
        await asyncio.sleep(PROGRESS_SECONDS)
        answered = sum(len(driver.history.answers) for driver in busy)
        print(f"{answered} of {commands} commands answered", flush=True)


async def _report(
    house: House,
    town: Town,
    busy: Sequence[BusyDriver],
    ended: Sequence[str],
    seconds: float,
    settled: float | None,
    counts: dict[str, int],
) -> BadLinkReport:
    histories = [driver.history for driver in busy]
    verdict = await judge(house.pool, town.market_id, histories)
    closes = sum((history.closes for history in histories), Tally[str]())
    return BadLinkReport(
        drivers=len(busy),
        processes=house.options.processes,
        seconds=round(seconds, 1),
        commands_per_second=round(verdict.answered / seconds, 1),
        link=counts,
        openings=dict(sum((history.openings for history in histories), Tally[str]())),
        closes=dict(closes.most_common()),
        noticed=dict(sum((history.noticed for history in histories), Tally[str]())),
        ended=tuple(ended[:20]),
        converged_seconds=settled,
        verdict=verdict,
        server_errors=tuple(house.errors[:10]),
        machine=machine(),
    )


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m load_tests bad_link", description=__doc__)
    parser.add_argument("--commands", type=int, default=100_000, help="of all drivers together")
    parser.add_argument("--drivers", type=int, default=1000)
    parser.add_argument("--order-pause-seconds", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=1)
    add_house_arguments(parser)
    given = parser.parse_args(arguments)
    report = run(measure(house_options(given), given.drivers, given.commands, given.order_pause_seconds, given.seed))
    return tell(report, report.ok, given.json)
