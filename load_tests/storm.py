"""Storms: everybody is cut at once while three offers are open, and resumes; then the server is killed and everybody
takes a snapshot of a new process.

While they are away one of the offers is called off and another opened, so that each has something to be told. The
database counts what is read while they come back; so does the server.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import Counter as Tally
from collections.abc import Sequence
from uuid import UUID

import msgspec

from flexlive.client.backoff import BackoffOptions
from flexlive.domain.markets import MarketPolicy
from flexlive.lab.ops_client import OpsClient
from flexlive.lab.server_process import HOST
from flexlive.lab.stats import Percentiles, percentiles
from load_tests.database_reads import FLUSH_SECONDS, by_sessions, more, reads
from load_tests.fleet import Fleet
from load_tests.house import House, HouseOptions, add_house_arguments, house_options, machine, open_house, run, tell
from load_tests.town import Counter, furnish, hire

MARKET = "stormville"
OFFERS = 3
RESUMED_SECONDS_MAX = 8.0
SNAPSHOTS_SECONDS_MAX = 12.0
GIVE_UP_SECONDS = 60.0
CONNECTING_A_SECOND = 400.0
RECONNECT_JITTER_SECONDS = 0.25
"""The first wait of a client's full-jitter back-off."""
BACKOFF = BackoffOptions(cap_seconds=2.0)
"""Hastier than a client's 15 s: what is measured is the server, not how long phones sleep."""
ACKED_SECONDS = 2.0
POLICY = MarketPolicy(offer_policy="broadcast", offer_ttl_seconds=3600.0, rings_max=1)


class Storm(msgspec.Struct, frozen=True):
    """One return of everybody. seconds: from the first dial, or the first handshake a new server answers, to each
    phone's being live.

    answers: how openings were answered. whole: phones that then show exactly the offers that are open.
    """

    seconds: Percentiles
    answers: dict[str, int]
    whole: int
    failed_dials: dict[str, int]
    server_cpu_seconds: float


class StormReport(msgspec.Struct, frozen=True):
    """database_reads: scans by table while they resumed; quiet_reads: in as long a time without a storm.

    session_reads: of these, what sessions read. server_reads: what the server itself counts while they resumed.
    restart_from_kill_seconds: from kill -9 until the last phone was live again.
    """

    drivers: int
    processes: int
    resume: Storm
    database_reads: dict[str, int]
    quiet_reads: dict[str, int]
    session_reads: dict[str, int]
    server_reads: dict[str, float]
    restart: Storm
    restart_from_kill_seconds: float
    snapshot_queries: float
    broken: tuple[str, ...]
    server_errors: tuple[str, ...]
    machine: dict[str, object]

    @property
    def ok(self) -> bool:
        nothing_read = not self.session_reads and not any(self.server_reads.values())
        return (
            (self.resume.seconds.max or 1e9) <= RESUMED_SECONDS_MAX
            and (self.restart.seconds.max or 1e9) <= SNAPSHOTS_SECONDS_MAX
            and self.resume.whole == self.restart.whole == self.drivers
            # Whoever comes back to another process has a snapshot of it: only one process can read nothing.
            and (nothing_read or self.processes > 1)
            and not self.broken
            and not self.server_errors
        )


async def measure(options: HouseOptions, drivers: int) -> StormReport:
    async with open_house(options) as house:
        async with OpsClient(house.base_url, house.ops_token) as ops:
            town = await furnish(ops, MARKET, 1, POLICY)
            hired = await hire(ops, town, drivers)
        async with Fleet(HOST, house.port, BACKOFF) as fleet, Counter(house.base_url, town) as counter:
            fleet.add([driver.access_token for driver in hired], town.places)
            await fleet.connect_all(CONNECTING_A_SECOND, drivers / CONNECTING_A_SECOND + GIVE_UP_SECONDS)
            orders = [await counter.order(f"before-{number}", 0) for number in range(OFFERS)]
            await fleet.until(lambda: all(len(phone.offers) == OFFERS for phone in fleet.phones), GIVE_UP_SECONDS)
            await asyncio.sleep(ACKED_SECONDS)
            print(f"{drivers} phones, {OFFERS} offers each; cut", flush=True)
            return await _storms(house, fleet, counter, orders)


async def _storms(house: House, fleet: Fleet, counter: Counter, orders: Sequence[UUID]) -> StormReport:
    fleet.cut_all()
    await counter.cancel(orders[0])
    await counter.order("meanwhile", 0)
    before, figures = await reads(house.pool), await house.figures()
    known = fleet.openings()
    began = time.monotonic()
    fleet.dial_all(RECONNECT_JITTER_SECONDS)
    resume = await _back(house, fleet, known, began, began)
    after, more_figures = await reads(house.pool), await house.figures()
    window = time.monotonic() - began
    print(f"resumed: {resume.seconds}; {resume.answers}", flush=True)
    quiet_before = await reads(house.pool)
    await asyncio.sleep(max(0.0, window - FLUSH_SECONDS))
    quiet = more(await reads(house.pool), quiet_before)
    read = more(after, before)
    killed_at = time.monotonic()
    fleet.comes_back = True
    known = fleet.openings()
    fleet.answered_at.clear()
    await house.kill()
    await house.start()
    ready_at = time.monotonic()
    restart = await _back(house, fleet, known, killed_at, None)
    print(
        f"kill -9; first handshake answered {min(fleet.answered_at) - killed_at:.1f} s later, /readyz 200 after "
        f"{ready_at - killed_at:.1f} s, the last phone after {max(fleet.opened_at.values()) - killed_at:.1f} s",
        flush=True,
    )
    print(f"after the restart: {restart.seconds}; {restart.answers}", flush=True)
    last = await house.figures()
    return StormReport(
        drivers=len(fleet.phones),
        processes=house.options.processes,
        resume=resume,
        database_reads=read,
        quiet_reads=quiet,
        session_reads=by_sessions(read, quiet),
        server_reads={
            name: more_figures.get(name, 0.0) - figures.get(name, 0.0)
            for name in ("flexlive_snapshot_queries_total", "flexlive_principal_reads_total")
        },
        restart=restart,
        restart_from_kill_seconds=round(max(fleet.opened_at.values()) - killed_at, 2),
        snapshot_queries=last.get("flexlive_snapshot_queries_total", 0.0),
        broken=tuple(fleet.broken[:20]),
        server_errors=tuple(house.errors[:10]),
        machine=machine(),
    )


async def _back(house: House, fleet: Fleet, known: Sequence[int], cut_at: float, began: float | None) -> Storm:
    """Waits until everybody has gone live since they were cut. began: what their seconds are counted from; the first
    handshake the new server answers when it is None."""
    cpu = house.cpu_seconds()
    fleet.refused.clear()
    everybody = [phone.number for phone in fleet.phones]
    try:
        await fleet.until(
            lambda: all(fleet.opened_at.get(number, 0.0) >= cut_at for number in everybody), GIVE_UP_SECONDS
        )
    except TimeoutError:
        print("not everybody came back", flush=True)
    # The last facts of a replay are applied when `live` comes; those pushed since may still be on their way.
    await asyncio.sleep(1)
    opened = [at for number in everybody if (at := fleet.opened_at.get(number, 0.0)) >= cut_at]
    since = min(fleet.answered_at) if began is None else began
    back = [at - since for at in opened]
    answers = Tally(
        answer for phone, first in zip(fleet.phones, known, strict=True) for answer in phone.answers[first:]
    )
    open_offers = {
        str(row["offer_id"]).encode()
        for row in await house.pool.fetch("select offer_id from offer where status = 'open'")
    }
    return Storm(
        seconds=percentiles(back, 3) if len(back) == len(everybody) else Percentiles(None, None, None, None, len(back)),
        answers=dict(answers),
        whole=sum(phone.live and phone.offers == open_offers for phone in fleet.phones),
        failed_dials=dict(fleet.refused),
        server_cpu_seconds=round(house.cpu_seconds() - cpu, 2),
    )


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m load_tests storm", description=__doc__)
    parser.add_argument("--drivers", type=int, default=5000)
    add_house_arguments(parser)
    given = parser.parse_args(arguments)
    report = run(measure(house_options(given), given.drivers))
    return tell(report, report.ok, given.json)
