"""Reading the database beside a play: until it has come to rest, and once it has."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar
from uuid import UUID

from flexlive.domain.deliveries import TERMINAL
from flexlive.lab.acknowledged import answers_lost
from flexlive.lab.book import Book
from flexlive.lab.convergence import Convergence, Reading
from flexlive.lab.cross_check import Committed
from flexlive.lab.fleet_messages import FleetDriver
from flexlive.lab.fleet_process import FleetProcess
from flexlive.lab.stage import Stage
from flexlive.storage import audit
from flexlive.storage.audit import DeliveryStanding, Finding
from flexlive.storage.failures import unreachable

T = TypeVar("T")
POLL_SECONDS = 0.5
PATIENCE_SECONDS_MAX = 60.0
TELLING_SECONDS = 1.0
# Longer than is promised, so that it is told how late somebody was.
CONVERGE_SECONDS_MAX = 60.0
PAGES_SECONDS_MAX = 5.0
# So long with nobody on duty and nothing on the road means that nothing more will happen.
IDLE_POLLS_MAX = 4


async def drain(stage: Stage, book: Book, fleet: FleetProcess, markets: Sequence[str], seconds_max: float) -> None:
    """Until every order of the book is terminal, or nobody is left to move one, or seconds_max are over."""
    idle_polls = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds_max):
            while idle_polls < IDLE_POLLS_MAX and await _unfinished(stage, book, markets):
                stage.server.require_running()
                tally = fleet.samples.last
                idle_polls = idle_polls + 1 if tally is not None and tally.online == 0 else 0
                await asyncio.sleep(POLL_SECONDS)
    # The last fact is committed; give it the way to the pages.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PAGES_SECONDS_MAX):
            while await _pages_behind(stage, book, markets):  # noqa: ASYNC110 - the other end is a database
                await asyncio.sleep(POLL_SECONDS)


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """The answer, asked for again while the database is away. Raises what it raised after PATIENCE_SECONDS_MAX."""
    deadline = time.monotonic() + PATIENCE_SECONDS_MAX
    while True:
        try:
            return await ask()
        except Exception as error:
            if not unreachable(error) or time.monotonic() > deadline:
                raise
        await asyncio.sleep(POLL_SECONDS)


async def reading(stage: Stage, markets: Sequence[str]) -> Reading:
    """Where the clients of these markets should be."""
    routes = [route for market_id in markets for route in await audit.routes(stage.pool, market_id)]
    over: set[UUID] = set()
    for market_id in markets:
        over |= await audit.offers_over(stage.pool, market_id)
    return Reading(
        routes={route.route_id: route for route in routes},
        offers_over=frozenset(over),
        orders={standing.external_delivery_id: standing for standing in await _standings(stage, markets)},
    )


async def converge(
    stage: Stage, book: Book, fleet: FleetProcess, markets: Sequence[str], quiet_since: float
) -> Convergence:
    """Looks at every client until each has been in step with the database, CONVERGE_SECONDS_MAX long at most."""
    convergence = Convergence(quiet_since)
    while time.time() < quiet_since + CONVERGE_SECONDS_MAX:
        before = await patiently(lambda: reading(stage, markets))
        # What is committed takes a moment to be told; nobody is late for being a second behind.
        await asyncio.sleep(TELLING_SECONDS)
        at, phones, orders = time.time(), await fleet.look(), list(book.orders.values())
        after = await patiently(lambda: reading(stage, markets))
        if convergence.look(at, phones, orders, before, after):
            break
    return convergence


async def committed_state(
    stage: Stage, book: Book, fleet: FleetProcess, markets: Sequence[str], drivers: Sequence[FleetDriver]
) -> Committed:
    """The database as it stands: this run's orders and drivers, and the audit of its markets."""
    driver_ids = {driver.driver_id for driver in drivers}
    lost: list[str] = []
    for driver in drivers:
        device = fleet.answers.get(driver.driver_id)
        if device is not None:
            kept = await audit.answers_kept(stage.pool, driver.market_id, driver.driver_id, device.device_id)
            lost += answers_lost(driver.driver_id, device.by_cmd, kept)
    wins: dict[UUID, UUID] = {}
    findings: list[Finding] = []
    for market_id in markets:
        wins |= await audit.wins(stage.pool, market_id)
        findings += await audit.findings(stage.pool, market_id)
    return Committed(
        standings=[s for s in await _standings(stage, markets) if s.external_delivery_id in book.orders],
        wins={offer_id: driver_id for offer_id, driver_id in wins.items() if driver_id in driver_ids},
        findings=findings,
        lost_answers=lost,
    )


async def _standings(stage: Stage, markets: Sequence[str]) -> list[DeliveryStanding]:
    return [standing for market_id in markets for standing in await audit.deliveries(stage.pool, market_id)]


async def _unfinished(stage: Stage, book: Book, markets: Sequence[str]) -> bool:
    standings = await patiently(lambda: _standings(stage, markets))
    return any(s.status not in TERMINAL for s in standings if s.external_delivery_id in book.orders)


async def _pages_behind(stage: Stage, book: Book, markets: Sequence[str]) -> bool:
    standings = {s.external_delivery_id: s for s in await patiently(lambda: _standings(stage, markets))}
    return any(
        order.page is None
        or (not order.page.ended and order.page.missing(standings[order.external_delivery_id].track_seq) > 0)
        for order in book.created
        if order.external_delivery_id in standings
    )
