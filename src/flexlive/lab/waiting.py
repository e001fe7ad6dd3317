"""Waiting for a play to come to rest, and reading the database once it has."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from uuid import UUID

from flexlive.domain.deliveries import TERMINAL
from flexlive.lab.book import Book
from flexlive.lab.cross_check import Committed
from flexlive.lab.fleet_process import FleetProcess
from flexlive.lab.stage import Stage
from flexlive.storage import audit
from flexlive.storage.audit import DeliveryStanding, Finding

POLL_SECONDS = 0.5
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


async def committed_state(stage: Stage, book: Book, markets: Sequence[str], driver_ids: set[UUID]) -> Committed:
    """The database as it stands: this run's orders and drivers, and the audit of its markets."""
    wins: dict[UUID, UUID] = {}
    findings: list[Finding] = []
    for market_id in markets:
        wins |= await audit.wins(stage.pool, market_id)
        findings += await audit.findings(stage.pool, market_id)
    return Committed(
        standings=[s for s in await _standings(stage, markets) if s.external_delivery_id in book.orders],
        wins={offer_id: driver_id for offer_id, driver_id in wins.items() if driver_id in driver_ids},
        findings=findings,
    )


async def _standings(stage: Stage, markets: Sequence[str]) -> list[DeliveryStanding]:
    return [standing for market_id in markets for standing in await audit.deliveries(stage.pool, market_id)]


async def _unfinished(stage: Stage, book: Book, markets: Sequence[str]) -> bool:
    standings = await _standings(stage, markets)
    return any(s.status not in TERMINAL for s in standings if s.external_delivery_id in book.orders)


async def _pages_behind(stage: Stage, book: Book, markets: Sequence[str]) -> bool:
    standings = {s.external_delivery_id: s for s in await _standings(stage, markets)}
    return any(
        order.page is None or order.page.missing(standings[order.external_delivery_id].track_seq)
        for order in book.created
        if order.external_delivery_id in standings
    )
