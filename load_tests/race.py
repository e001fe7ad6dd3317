"""Many offers, each wanted by many drivers at the same moment over real sockets: one winner each, all others told.

Every offer has a street site of its own, far from the others, with fresh drivers standing at its door; once every phone
shows its offer, all of them accept at once.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time
from collections import Counter as Tally
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import msgspec

from flexlive.client.driver_client import DriverClient
from flexlive.domain.markets import MarketPolicy
from flexlive.lab.ops_client import OpsClient
from flexlive.lab.options import DemoOptions
from flexlive.lab.server_process import wait_ready
from flexlive.lab.stage import Stage, open_stage
from flexlive.lab.stats import percentiles
from flexlive.lab.view import View
from flexlive.protocol.driver import OfferAccept, Point
from flexlive.protocol.views import OfferView
from flexlive.storage import audit
from load_tests.town import Counter, Town, furnish, hire

MARKET = "racetown"
CONNECTING_AT_ONCE = 64
READY_SECONDS_MAX = 60.0
SHOWN_SECONDS_MAX = 90.0
RACE_SECONDS_MAX = 60.0


class RaceReport(msgspec.Struct, frozen=True):
    """codes: of all answers. accept_ms: from the send to the answer on the phone, over all racers."""

    offers: int
    drivers_per_offer: int
    winners: int
    offers_with_one_winner: int
    codes: dict[str, int]
    committed_routes: int
    findings: tuple[str, ...]
    accept_ms_p50: float
    accept_ms_p99: float
    race_seconds: float
    connect_seconds: float

    @property
    def ok(self) -> bool:
        losers = self.offers * (self.drivers_per_offer - 1)
        return (
            self.codes == {"won": self.offers, **({"taken": losers} if losers else {})}
            and self.offers_with_one_winner == self.offers == self.committed_routes
            and not self.findings
        )


@dataclass
class Racer:
    """One driver; shown is set once the phone has an offer."""

    client: DriverClient
    place: tuple[float, float]
    offer: OfferView | None = None

    async def ready(self) -> None:
        """Online at the door; returns once an offer is on the phone."""
        now = datetime.now(UTC)
        await self.client.go_online()
        await self.client.send_location([Point(lat=self.place[0], lon=self.place[1], at=now, accuracy_m=5)])
        while not self.client.state.offers:
            await asyncio.sleep(0.05)
        [self.offer] = self.client.state.offers.values()

    async def accept(self) -> tuple[UUID, str, float]:
        assert self.offer is not None
        command = OfferAccept(
            cmd=self.client.next_cmd(), offer_id=self.offer.offer_id, offer_version=self.offer.offer_version
        )
        started = time.perf_counter()
        result = await self.client.command(command)
        return self.offer.offer_id, result.code, (time.perf_counter() - started) * 1000


async def race(stage: Stage, offers: int, drivers: int) -> RaceReport:
    """Furnish the market, connect offers × drivers phones, order, race."""
    await wait_ready(stage.server, stage.base_url, READY_SECONDS_MAX)
    async with OpsClient(stage.base_url, stage.ops_token) as client:
        town = await furnish(client, MARKET, offers, MarketPolicy(offer_ttl_seconds=300.0))
        crew = await hire(client, town, offers * drivers)
    async with contextlib.AsyncExitStack() as stack:
        started = time.perf_counter()
        racers = await _connect(stack, stage, [d.access_token for d in crew], town.places)
        connect_seconds = time.perf_counter() - started
        waiting = [asyncio.create_task(racer.ready()) for racer in racers]
        # Positions reach the dispatcher within a second; an order before that would widen to everybody.
        await asyncio.sleep(3)
        await _order(stage, town)
        async with asyncio.timeout(SHOWN_SECONDS_MAX):
            await asyncio.gather(*waiting)
        started = time.perf_counter()
        async with asyncio.timeout(RACE_SECONDS_MAX):
            answers = await asyncio.gather(*(racer.accept() for racer in racers))
        race_seconds = time.perf_counter() - started
    return await _report(stage, offers, drivers, answers, race_seconds, connect_seconds)


async def _report(
    stage: Stage,
    offers: int,
    drivers: int,
    answers: Sequence[tuple[UUID, str, float]],
    race_seconds: float,
    connect_seconds: float,
) -> RaceReport:
    winners = Tally(offer_id for offer_id, code, _ in answers if code == "won")
    figures = percentiles([ms for _, _, ms in answers])
    return RaceReport(
        offers=offers,
        drivers_per_offer=drivers,
        winners=winners.total(),
        offers_with_one_winner=sum(count == 1 for count in winners.values()),
        codes=dict(Tally(code for _, code, _ in answers)),
        committed_routes=await stage.pool.fetchval("select count(*) from route where market_id = $1", MARKET),
        findings=tuple(str(finding) for finding in await audit.findings(stage.pool, MARKET)),
        accept_ms_p50=figures.p50 or 0.0,
        accept_ms_p99=figures.p99 or 0.0,
        race_seconds=round(race_seconds, 3),
        connect_seconds=round(connect_seconds, 3),
    )


async def _connect(
    stack: contextlib.AsyncExitStack, stage: Stage, tokens: Sequence[str], places: Sequence[tuple[float, float]]
) -> list[Racer]:
    url = stage.base_url.replace("http", "ws", 1) + "/v1/driver"
    gate = asyncio.Semaphore(CONNECTING_AT_ONCE)

    async def connect(number: int, token: str) -> Racer:
        async with gate:
            client = await stack.enter_async_context(DriverClient(url, token, f"phone-{number}"))
            while not client.connected:
                await asyncio.sleep(0.01)
            return Racer(client, places[number % len(places)])

    return list(await asyncio.gather(*(connect(number, token) for number, token in enumerate(tokens))))


async def _order(stage: Stage, town: Town) -> None:
    async with Counter(stage.base_url, town) as counter:
        for number in range(len(town.places)):
            await counter.order(f"race-{number}", number)


async def run(offers: int, drivers: int, database_url: str | None = None) -> RaceReport:
    """On a stage of its own: embedded PostgreSQL unless a URL is given, a real server process."""
    options = DemoOptions(port=0, speed=1.0, database_url=database_url)
    with View("plain") as view:
        async with open_stage(options, view) as stage:
            return await race(stage, offers, drivers)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m load_tests race", description=__doc__)
    parser.add_argument("--offers", type=int, default=200)
    parser.add_argument("--drivers", type=int, default=32, help="per offer")
    parser.add_argument("--json", type=str, default=None, metavar="FILE")
    given = parser.parse_args(arguments)
    report = asyncio.run(run(given.offers, given.drivers))
    text = msgspec.json.format(msgspec.json.encode(report), indent=2).decode()
    print(text)
    if given.json:
        Path(given.json).write_text(text + "\n", encoding="utf-8")
    print("ok" if report.ok else "NOT OK")
    return 0 if report.ok else 1
