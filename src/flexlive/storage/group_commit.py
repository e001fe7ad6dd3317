"""Group commit: many commands of one market become one transaction, so that one fsync pays for all of them.

Only the mechanism: bounded queue, at most one new command per driver in a batch, two flushers per market (one
prepares while the other waits for the disk), a failed batch is halved until the command that spoils it stands alone.
What a batch does is the `flush` it is given.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

import structlog
from prometheus_client import Histogram

from flexlive.storage.transaction import OutcomeUnknownError

_log = structlog.get_logger()
_batch_commands = Histogram(
    "flexlive_group_commit_batch_commands", "Commands in one group commit", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256)
)
_flush_seconds = Histogram(
    "flexlive_group_commit_flush_seconds",
    "One group commit, from its first lock to its answers",
    buckets=(0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25, 1.0, 10.0),
)

ItemT = TypeVar("ItemT")
AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupCommitOptions:
    flushers: int = 2
    batch_commands_max: int = 256
    queue_commands_max: int = 20_000


class QueueFullError(Exception):
    """More commands wait than the market's queue holds; nothing was done."""


@dataclass(slots=True)
class _Waiting(Generic[ItemT, AnswerT]):
    driver_id: UUID
    item: ItemT
    answer: asyncio.Future[AnswerT]


class _MarketQueue(Generic[ItemT, AnswerT]):
    """The waiting commands of one market and the drivers whose command is being flushed."""

    def __init__(self, options: GroupCommitOptions) -> None:
        self.waiting: deque[_Waiting[ItemT, AnswerT]] = deque()
        self.busy_drivers: set[UUID] = set()
        self.idle_flushers = options.flushers

    def take(self, batch_commands_max: int) -> list[_Waiting[ItemT, AnswerT]]:
        """The next batch; a driver already in flight or already in this batch waits for the next one."""
        batch: list[_Waiting[ItemT, AnswerT]] = []
        passed: list[_Waiting[ItemT, AnswerT]] = []
        while self.waiting and len(batch) < batch_commands_max:
            entry = self.waiting.popleft()
            if entry.driver_id in self.busy_drivers:
                passed.append(entry)
                continue
            self.busy_drivers.add(entry.driver_id)
            batch.append(entry)
        self.waiting.extendleft(reversed(passed))
        return batch


class GroupCommit(Generic[ItemT, AnswerT]):
    """`submit` returns the answer once the batch that holds the command is committed.

    flush(market_id, items) runs one transaction and returns one answer per item, in order; when it raises, nothing
    of the batch was committed (or nobody knows: OutcomeUnknownError, which is passed on and never retried here).
    """

    def __init__(self, options: GroupCommitOptions) -> None:
        self._options = options
        self._markets: dict[str, _MarketQueue[ItemT, AnswerT]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._flush: Callable[[str, Sequence[ItemT]], Awaitable[Sequence[AnswerT]]] | None = None

    def bind(self, flush: Callable[[str, Sequence[ItemT]], Awaitable[Sequence[AnswerT]]]) -> None:
        """Tell what a batch does; once, before the first submit."""
        self._flush = flush

    async def submit(self, market_id: str, driver_id: UUID, item: ItemT) -> AnswerT:
        """Raises QueueFullError, OutcomeUnknownError, or what flush raised for this command alone."""
        queue = self._markets.setdefault(market_id, _MarketQueue(self._options))
        if len(queue.waiting) >= self._options.queue_commands_max:
            raise QueueFullError(market_id)
        answer: asyncio.Future[AnswerT] = asyncio.get_running_loop().create_future()
        queue.waiting.append(_Waiting(driver_id, item, answer))
        self._start_flusher(market_id, queue)
        return await answer

    async def close(self) -> None:
        """Wait for what has been submitted."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start_flusher(self, market_id: str, queue: _MarketQueue[ItemT, AnswerT]) -> None:
        if queue.idle_flushers == 0 or not queue.waiting:
            return
        queue.idle_flushers -= 1
        task = asyncio.create_task(self._run(market_id, queue))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, market_id: str, queue: _MarketQueue[ItemT, AnswerT]) -> None:
        try:
            # One turn of the loop lets everything that arrived together share the transaction.
            await asyncio.sleep(0)
            while batch := queue.take(self._options.batch_commands_max):
                _batch_commands.observe(len(batch))
                try:
                    await self._flush_halving(market_id, batch)
                finally:
                    queue.busy_drivers.difference_update(entry.driver_id for entry in batch)
        finally:
            queue.idle_flushers += 1
            if any(entry.driver_id not in queue.busy_drivers for entry in queue.waiting):
                self._start_flusher(market_id, queue)

    async def _flush_halving(self, market_id: str, batch: list[_Waiting[ItemT, AnswerT]]) -> None:
        assert self._flush is not None, "bind() comes before submit()"
        try:
            with _flush_seconds.time():
                answers = await self._flush(market_id, [entry.item for entry in batch])
        except OutcomeUnknownError as error:
            for entry in batch:
                _settle_error(entry.answer, error)
        except Exception as error:
            if len(batch) == 1:
                _settle_error(batch[0].answer, error)
                return
            _log.warning("group_commit_halved", market_id=market_id, commands=len(batch), error=repr(error))
            middle = len(batch) // 2
            await self._flush_halving(market_id, batch[:middle])
            await self._flush_halving(market_id, batch[middle:])
        else:
            for entry, answer in zip(batch, answers, strict=True):
                if not entry.answer.done():
                    entry.answer.set_result(answer)


def _settle_error(answer: asyncio.Future[AnswerT], error: Exception) -> None:
    # The one who asked may have gone; a set exception nobody reads would be logged as lost.
    if not answer.done():
        answer.set_exception(error)
