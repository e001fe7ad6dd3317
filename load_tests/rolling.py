"""Busy drivers on several processes while these are replaced again and again, and while NATS is gone: every command has
one effect and one answer, a win is a committed row, and afterwards every phone knows what a fresh snapshot says.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import statistics
import time
from collections import Counter as Tally
from collections.abc import Sequence
from dataclasses import replace

import httpx
import msgspec

from flexlive.domain.markets import MarketPolicy
from flexlive.lab.ops_client import OpsClient
from flexlive.lab.process_tree import server_processes
from flexlive.lab.server_process import HOST
from flexlive.realtime.buses.nats_server import NatsServer
from load_tests.bad_link import CONVERGED_SECONDS_MAX, converged, crew, keep_ordering
from load_tests.busy_driver import BusyDriver
from load_tests.command_judge import Verdict, judge
from load_tests.house import House, HouseOptions, add_house_arguments, house_options, machine, open_house, run, tell
from load_tests.town import Counter, furnish, hire

MARKET = "rolling"
DRIVERS_A_SITE = 25
CONNECTING_A_SECOND = 50.0
RESTART_SECONDS_MAX = 600.0
COMMANDS_A_ROUND = 10
LOOK_SECONDS = 0.25
BUS_SECONDS_MAX = 30.0
POLICY = MarketPolicy(offer_policy="broadcast", offer_ttl_seconds=300.0, reoffer_delay_seconds=1.0)


class RollingReport(msgspec.Struct, frozen=True):
    """restart_seconds_median: of all processes, one after the other. nats_gone_seconds: how long NATS was dead;
    degraded_seen: whether /readyz said so, with status 200. commands_without_nats: answered meanwhile. ended: drivers
    whose client gave up, which none may."""

    drivers: int
    processes: int
    seconds: float
    restarts: int
    restart_seconds_median: float | None
    restart_seconds_max: float | None
    nats_gone_seconds: float
    degraded_seen: bool
    commands_without_nats: int
    commands_per_second: float
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
        told = self.degraded_seen or not self.nats_gone_seconds
        works = self.commands_without_nats > 0 or not self.nats_gone_seconds
        converged = self.converged_seconds is not None and self.converged_seconds <= CONVERGED_SECONDS_MAX
        return self.verdict.ok and converged and told and works and not self.ended and not self.server_errors


async def restart(house: House) -> float:
    """One rolling restart: seconds until every process is another one and the former ones are gone."""
    assert house.server is not None
    before, began = set(server_processes(house.server.pid)), time.monotonic()
    os.kill(house.server.pid, signal.SIGHUP)
    while time.monotonic() - began < RESTART_SECONDS_MAX:
        now = set(server_processes(house.server.pid))
        if len(now) == house.options.processes and not now & before:
            return time.monotonic() - began
        await asyncio.sleep(LOOK_SECONDS)
    raise TimeoutError(f"no rolling restart within {RESTART_SECONDS_MAX:g} s: {house.errors[-5:]}")


async def bus_words(house: House) -> set[tuple[int, str]]:
    """Status and bus of /readyz, of whichever processes a few new connections meet."""
    found: set[tuple[int, str]] = set()
    for _ in range(4 * house.options.processes):
        async with httpx.AsyncClient(trust_env=False, timeout=10) as http:
            answer = await http.get(f"{house.base_url}/readyz")
        found.add((answer.status_code, answer.json()["bus"]))
    return found


async def without_nats(house: House, nats: NatsServer, seconds: float) -> bool:
    """kill -9 NATS and bring it back after so long. Whether everybody said so while it was gone, ready all the same."""
    os.kill(nats.pid, signal.SIGKILL)
    await asyncio.sleep(seconds / 2)
    degraded = await bus_words(house) == {(200, "degraded")}
    await asyncio.sleep(seconds / 2)
    await asyncio.to_thread(nats.start)
    async with asyncio.timeout(BUS_SECONDS_MAX):
        while await bus_words(house) != {(200, "ok")}:
            await asyncio.sleep(LOOK_SECONDS)
    return degraded


async def measure(
    options: HouseOptions, drivers: int, restarts: int, nats_gone_seconds: float, seed: int
) -> RollingReport:
    async with contextlib.AsyncExitStack() as stack:
        nats: NatsServer | None = None
        if nats_gone_seconds:
            nats = NatsServer()
            stack.callback(nats.stop)
            nats.start()
            options = replace(options, nats_url=nats.url)
        house = await stack.enter_async_context(open_house(options))
        async with OpsClient(house.base_url, house.ops_token) as ops:
            town = await furnish(ops, MARKET, max(1, drivers // DRIVERS_A_SITE), POLICY)
            hired = await hire(ops, town, drivers)
        counter = await stack.enter_async_context(Counter(house.base_url, town, patient=True))
        busy = crew(f"ws://{HOST}:{house.port}/v1/driver", hired, town.places, seed)
        began, enough = time.monotonic(), asyncio.Event()
        ordering = asyncio.create_task(keep_ordering(counter, len(town.places), 0.2))
        working = [asyncio.create_task(_work(stack, each, n, enough)) for n, each in enumerate(busy)]
        seconds_each: list[float] = []
        for number in range(restarts):
            seconds_each.append(await restart(house))
            print(f"restart {number + 1}: {seconds_each[-1]:.1f} s, {_answered(busy)} commands answered", flush=True)
        before, degraded = _answered(busy), False
        if nats is not None:
            degraded = await without_nats(house, nats, nats_gone_seconds)
        without = _answered(busy) - before
        enough.set()
        outcomes = await asyncio.gather(*working, return_exceptions=True)
        seconds = time.monotonic() - began
        ordering.cancel()
        orders_ended = await asyncio.gather(ordering, return_exceptions=True)
        ended = [f"{each.history.device_id}: {end!r}" for each, end in zip(busy, outcomes, strict=True) if end]
        ended += [f"orders: {end!r}" for end in orders_ended if not isinstance(end, asyncio.CancelledError)]
        settled = await converged(busy)
        histories = [each.history for each in busy]
        verdict = await judge(house.pool, town.market_id, histories)
        closes = sum((history.closes for history in histories), Tally[str]())
        return RollingReport(
            drivers=drivers,
            processes=options.processes,
            seconds=round(seconds, 1),
            restarts=restarts,
            restart_seconds_median=round(statistics.median(seconds_each), 1) if seconds_each else None,
            restart_seconds_max=round(max(seconds_each), 1) if seconds_each else None,
            nats_gone_seconds=nats_gone_seconds,
            degraded_seen=degraded,
            commands_without_nats=without,
            commands_per_second=round(verdict.answered / seconds, 1),
            openings=dict(sum((history.openings for history in histories), Tally[str]())),
            closes=dict(closes.most_common()),
            noticed=dict(sum((history.noticed for history in histories), Tally[str]())),
            ended=tuple(ended[:20]),
            converged_seconds=settled,
            verdict=verdict,
            server_errors=tuple(house.errors[:10]),
            machine=machine(),
        )


async def _work(stack: contextlib.AsyncExitStack, driver: BusyDriver, number: int, enough: asyncio.Event) -> None:
    await asyncio.sleep(number / CONNECTING_A_SECOND)
    await stack.enter_async_context(driver.client)
    while not enough.is_set():
        await driver.run(len(driver.history.sent) + COMMANDS_A_ROUND)


def _answered(busy: Sequence[BusyDriver]) -> int:
    return sum(len(driver.history.answers) for driver in busy)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m load_tests rolling", description=__doc__)
    parser.add_argument("--restarts", type=int, default=20)
    parser.add_argument("--nats-kill-seconds", type=float, default=0.0, help="kill -9 NATS for so long, at the end")
    parser.add_argument("--drivers", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    add_house_arguments(parser)
    parser.set_defaults(processes=2)
    given = parser.parse_args(arguments)
    report = run(measure(house_options(given), given.drivers, given.restarts, given.nats_kill_seconds, given.seed))
    return tell(report, report.ok, given.json)
