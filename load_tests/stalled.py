"""5 % of the phones stop reading for a minute while offers go out to all: what it costs the others, what the server
and its kernel hold for each of them, and whether they come back whole.

Rounds without (A) and with (B) stalled phones alternate, A B B A, in one run; the others are the same phones in both.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections import Counter as Tally
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from uuid import UUID

import msgspec

from flexlive.client.backoff import BackoffOptions
from flexlive.domain.markets import MarketPolicy
from flexlive.lab.ops_client import OpsClient
from flexlive.lab.server_process import HOST
from flexlive.lab.stats import nearest_rank
from load_tests.fleet import Fleet
from load_tests.house import House, HouseOptions, add_house_arguments, house_options, machine, open_house, run, tell
from load_tests.raw_phone import RawPhone
from load_tests.stalled_memory import MemoryWatch
from load_tests.town import Counter, furnish, hire

MARKET = "stallville"
STALLED_SHARE = 0.05
OFFER_SECONDS = 5.0
CONNECTING_A_SECOND = 300.0
BACK_SECONDS_MAX = 60.0
LOOK_SECONDS = 0.5
SETTLE_SECONDS = 3.0
P99_RATIO_MAX = 1.10
BYTES_A_PHONE_MAX = 256 * 1024
_DECIDED = """
select o.offer_id, o.opened_at, d.delivery_id from offer o join offer_delivery d using (market_id, offer_id)
"""
POLICY = MarketPolicy(offer_policy="broadcast", offer_ttl_seconds=3600.0, rings_max=1)


class Round(msgspec.Struct, frozen=True):
    """Latencies in ms from the moment the offer is decided (its transaction is still to commit) to the phone, over the
    phones that never stall; order_p50_ms: from the intended moment of the order, the dispatcher included.

    p99_ms: median over offers of the 99th percentile of each. pooled_p99_ms: over all offers together.
    """

    stalled: int
    offers: int
    pushes: int
    p50_ms: float
    p99_ms: float
    pooled_p99_ms: float
    order_p50_ms: float
    server_cpu_seconds: float
    server_rss_bytes_max: int
    kernel_bytes_max: int
    process_bytes_max: int
    phone_bytes_max: int
    answers: dict[str, int]
    closes: dict[str, int]
    whole: int


class StalledReport(msgspec.Struct, frozen=True):
    """Ratios with : without stalled phones. phone_bytes_max: of one stalled phone, process and kernel together."""

    phones: int
    stalled: int
    processes: int
    stall_seconds: float
    orders_a_second: float
    p99_ratio: float
    p99_ratio_min: float
    p99_ratio_max: float
    pooled_p99_ratio: float
    phone_bytes_max: int
    whole: bool
    rounds: tuple[Round, ...]
    broken: tuple[str, ...]
    server_errors: tuple[str, ...]
    machine: dict[str, object]

    @property
    def ok(self) -> bool:
        return (
            self.p99_ratio <= P99_RATIO_MAX
            and self.phone_bytes_max <= BYTES_A_PHONE_MAX
            and self.whole
            and not self.broken
            and not self.server_errors
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    phones: int
    stall_seconds: float
    orders_a_second: float
    turns: int


@dataclass(slots=True)
class Scene:
    """sleepers: those who stall in B. intended: Unix seconds at which each delivery was meant to be ordered."""

    house: House
    fleet: Fleet
    counter: Counter
    caller_off: Counter
    plan: Plan
    sleepers: list[RawPhone]
    intended: dict[UUID, float] = field(default_factory=dict)
    ordered: int = 0


async def measure(options: HouseOptions, plan: Plan) -> StalledReport:
    async with AsyncExitStack() as stack:
        house = await stack.enter_async_context(open_house(options))
        async with OpsClient(house.base_url, house.ops_token) as ops:
            town = await furnish(ops, MARKET, 1, POLICY)
            # Half of the requests under a key of their own: each key has its limit a minute.
            second = replace(town, api_key=(await ops.create_key(town.merchant_id)).api_key)
            hired = await hire(ops, town, plan.phones)
        fleet = await stack.enter_async_context(Fleet(HOST, house.port, BackoffOptions(cap_seconds=2.0)))
        fleet.add([driver.access_token for driver in hired], town.places)
        sleepers = fleet.phones[:: round(1 / STALLED_SHARE)]
        fleet.small_windows(sleepers)
        fleet.measured = {phone.number for phone in fleet.phones} - {phone.number for phone in sleepers}
        counter = await stack.enter_async_context(Counter(house.base_url, town))
        caller_off = await stack.enter_async_context(Counter(house.base_url, second))
        await fleet.connect_all(CONNECTING_A_SECOND, plan.phones / CONNECTING_A_SECOND + BACK_SECONDS_MAX)
        fleet.comes_back = True
        scene = Scene(house, fleet, counter, caller_off, plan, sleepers)
        await _round(replace(scene, plan=replace(plan, stall_seconds=min(5.0, plan.stall_seconds))), stalls=False)
        rounds: list[Round] = []
        for turn in range(plan.turns):
            for stalls in (False, True) if turn % 2 == 0 else (True, False):
                rounds.append(await _round(scene, stalls=stalls))
                print(f"{'with' if stalls else 'without'} stalled phones: {rounds[-1]}", flush=True)
        return _report(scene, rounds)


async def _round(scene: Scene, *, stalls: bool) -> Round:
    fleet, house = scene.fleet, scene.house
    scene.intended.clear()
    fleet.seen.clear()
    known, closed = fleet.openings(), {phone.number: len(phone.closes) for phone in fleet.phones}
    watch = MemoryWatch(house, fleet, scene.sleepers if stalls else [])
    watching = asyncio.create_task(watch.run())
    cpu = house.cpu_seconds()
    if stalls:
        for phone in scene.sleepers:
            phone.stop_reading()
    left_open = await _order_for(scene, scene.plan.stall_seconds)
    cpu = house.cpu_seconds() - cpu
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    for phone in scene.sleepers:
        phone.read_again()
    whole = await _whole(scene)
    latencies, from_order = await _latencies(scene)
    answers = Tally(a for phone, first in zip(fleet.phones, known, strict=True) for a in phone.answers[first:])
    closes = Tally(str(code) for phone in fleet.phones for code in phone.closes[closed[phone.number] :])
    for delivery_id in left_open:
        await scene.caller_off.cancel(delivery_id)
    await asyncio.sleep(SETTLE_SECONDS)
    pooled = sorted(ms for one in latencies for ms in one)
    return Round(
        stalled=len(scene.sleepers) if stalls else 0,
        offers=len(latencies),
        pushes=len(pooled),
        p50_ms=round(nearest_rank(pooled, 50), 2),
        p99_ms=round(statistics.median(nearest_rank(sorted(one), 99) for one in latencies), 2),
        pooled_p99_ms=round(nearest_rank(pooled, 99), 2),
        order_p50_ms=round(nearest_rank(sorted(from_order), 50), 2),
        server_cpu_seconds=round(cpu, 2),
        server_rss_bytes_max=watch.rss_bytes_max,
        kernel_bytes_max=watch.kernel_bytes_max,
        process_bytes_max=watch.process_bytes_max,
        phone_bytes_max=watch.phone_bytes_max,
        answers=dict(answers),
        closes=dict(closes),
        whole=whole,
    )


async def _order_for(scene: Scene, seconds: float) -> list[UUID]:
    """Orders at a steady rate, each called off a little later; the last few stay open, and are returned."""
    began = time.monotonic()
    deadline = began + seconds
    deliveries: list[UUID] = []
    calls: list[asyncio.Task[None]] = []
    number = 0
    while (due := began + number / scene.plan.orders_a_second) < deadline:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        calls.append(asyncio.create_task(_order(scene, due, due + OFFER_SECONDS < deadline, deliveries)))
        number += 1
    await asyncio.gather(*calls)
    return deliveries


async def _order(scene: Scene, due: float, ends: bool, left_open: list[UUID]) -> None:
    scene.ordered += 1
    delivery_id = await scene.counter.order(f"order-{scene.ordered}", 0)
    scene.intended[delivery_id] = time.time() - (time.monotonic() - due)
    if not ends:
        left_open.append(delivery_id)
        return
    await asyncio.sleep(max(0.0, due + OFFER_SECONDS - time.monotonic()))
    await scene.caller_off.cancel(delivery_id)


async def _whole(scene: Scene) -> int:
    """Phones that show exactly what is open, once everybody has had the time to come back."""
    deadline = time.monotonic() + BACK_SECONDS_MAX
    while True:
        # Read anew each time: the last orders may still be opening.
        rows = await scene.house.pool.fetch("select offer_id from offer where status = 'open'")
        expected = {str(row["offer_id"]).encode() for row in rows}
        whole = sum(phone.live and phone.offers == expected for phone in scene.fleet.phones)
        if whole == len(scene.fleet.phones) or time.monotonic() > deadline:
            return whole
        await asyncio.sleep(LOOK_SECONDS)


async def _latencies(scene: Scene) -> tuple[list[list[float]], list[float]]:
    """(for each offer of this round, what each phone waited since it was decided; what the first one waited since it
    should have been ordered), in ms."""
    since_decided: list[list[float]] = []
    since_ordered: list[float] = []
    for row in await scene.house.pool.fetch(_DECIDED):
        seen = scene.fleet.seen.get(str(row["offer_id"]).encode())
        if seen and row["delivery_id"] in scene.intended:
            decided_at = row["opened_at"].timestamp()
            since_decided.append([(at - decided_at) * 1000 for at in seen])
            since_ordered.append((min(seen) - scene.intended[row["delivery_id"]]) * 1000)
    return since_decided, since_ordered


def _report(scene: Scene, rounds: Sequence[Round]) -> StalledReport:
    without = [one for one in rounds if not one.stalled]
    with_stalled = [one for one in rounds if one.stalled]
    pairs = [b.p99_ms / a.p99_ms for a, b in zip(without, with_stalled, strict=True)]
    pooled = [b.pooled_p99_ms / a.pooled_p99_ms for a, b in zip(without, with_stalled, strict=True)]
    return StalledReport(
        phones=scene.plan.phones,
        stalled=len(scene.sleepers),
        processes=scene.house.options.processes,
        stall_seconds=scene.plan.stall_seconds,
        orders_a_second=scene.plan.orders_a_second,
        p99_ratio=round(statistics.median(pairs), 3),
        p99_ratio_min=round(min(pairs), 3),
        p99_ratio_max=round(max(pairs), 3),
        pooled_p99_ratio=round(statistics.median(pooled), 3),
        phone_bytes_max=max(one.phone_bytes_max for one in with_stalled),
        whole=all(one.whole == scene.plan.phones for one in rounds),
        rounds=tuple(rounds),
        broken=tuple(scene.fleet.broken[:20]),
        server_errors=tuple(scene.house.errors[:10]),
        machine=machine(),
    )


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m load_tests stalled", description=__doc__)
    parser.add_argument("--phones", type=int, default=1000)
    parser.add_argument("--stall-seconds", type=float, default=60.0)
    parser.add_argument("--orders-a-second", type=float, default=10.0)
    parser.add_argument("--turns", type=int, default=5, help="pairs of a round without and one with stalled phones")
    add_house_arguments(parser)
    given = parser.parse_args(arguments)
    plan = Plan(
        phones=given.phones,
        stall_seconds=given.stall_seconds,
        orders_a_second=given.orders_a_second,
        turns=given.turns,
    )
    report = run(measure(house_options(given), plan))
    return tell(report, report.ok, given.json)
