"""Snapshots read in batches: when thousands of phones return at once, the database sees few bounded queries."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Final

from prometheus_client import Counter

from flexlive.services.context import Context
from flexlive.services.drivers import SNAPSHOT_ASKS_MAX, DriverSnapshot, SnapshotAsk, snapshots

SNAPSHOT_QUERIES_IN_FLIGHT_MAX: Final = 4

_QUERIES = Counter("flexlive_snapshot_queries_total", "Batched snapshot reads")
_READ = Counter("flexlive_snapshots_total", "Snapshots read from the database")


@dataclass(frozen=True, slots=True)
class _Waiting:
    ask: SnapshotAsk
    answer: asyncio.Future[DriverSnapshot | None]


class SnapshotBatches:
    """Bounded by the sockets that wait: each has one ask."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._waiting: dict[str, deque[_Waiting]] = {}
        self._in_flight: set[asyncio.Task[None]] = set()

    async def read(self, market_id: str, ask: SnapshotAsk) -> DriverSnapshot | None:
        """The driver's state, read after this call; None for a driver the database does not know."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(ask, loop.create_future())
        self._waiting.setdefault(market_id, deque()).append(waiting)
        # Whoever asks within this turn of the loop shares the query.
        loop.call_soon(self._start)
        return await waiting.answer

    def _start(self) -> None:
        while self._waiting and len(self._in_flight) < SNAPSHOT_QUERIES_IN_FLIGHT_MAX:
            market_id, queue = next(iter(self._waiting.items()))
            batch = _take(queue)
            # The market goes to the end of the line, or out of it.
            del self._waiting[market_id]
            if queue:
                self._waiting[market_id] = queue
            if batch:
                task = asyncio.create_task(self._query(market_id, batch))
                self._in_flight.add(task)
                task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        self._start()

    async def _query(self, market_id: str, batch: list[_Waiting]) -> None:
        _QUERIES.inc()
        try:
            found = await snapshots(self._ctx, market_id, [waiting.ask for waiting in batch])
        except Exception as error:  # each socket that waits decides what the failure means for it
            for waiting in batch:
                if not waiting.answer.done():
                    waiting.answer.set_exception(error)
            return
        _READ.inc(len(found))
        for waiting in batch:
            if not waiting.answer.done():
                waiting.answer.set_result(found.get(waiting.ask.driver_id))


def _take(queue: deque[_Waiting]) -> list[_Waiting]:
    """Up to SNAPSHOT_ASKS_MAX asks, one a driver; those whose socket has gone are dropped."""
    batch: dict[object, _Waiting] = {}
    later: list[_Waiting] = []
    while queue and len(batch) < SNAPSHOT_ASKS_MAX:
        waiting = queue.popleft()
        if waiting.answer.done():
            continue
        if waiting.ask.driver_id in batch:
            later.append(waiting)
        else:
            batch[waiting.ask.driver_id] = waiting
    queue.extendleft(reversed(later))
    return list(batch.values())
