"""The receiving end of the relay chain in a process: facts of one market, each once, in order, from bus and database.

Range reading arrives as an argument, for realtime does not know storage.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, assert_never

import msgspec
import stamina
import structlog
from prometheus_client import Counter, Gauge

from flexlive.realtime.bus import Bus, Unsubscribe
from flexlive.realtime.chain import (
    Apply,
    ChainReceiver,
    FactRow,
    Ignore,
    NeedRange,
    Position,
    Replaced,
    decode,
    facts_topic,
)

_log = structlog.get_logger()
_facts = Counter("flexlive_chain_facts_total", "Facts applied in this process", ["market_id"])
_range_reads = Counter("flexlive_chain_range_reads_total", "Ranges read from PostgreSQL", ["market_id", "cause"])
_apply_failures = Counter("flexlive_chain_apply_failures_total", "Facts whose consumer raised", ["market_id"])
_undecodable = Counter("flexlive_chain_undecodable_total", "Bus messages that are no chain message", ["market_id"])
_holes = Gauge(
    "flexlive_chain_holes", "Gaps seen inside a stream; above 0 is a defect", ["market_id"], multiprocess_mode="livesum"
)
_silent = Gauge(
    "flexlive_chain_silent",
    "Processes that do not hear the relay and read for themselves",
    ["market_id"],
    multiprocess_mode="livesum",
)


@dataclass(frozen=True, slots=True)
class ChainStart:
    """Where to begin: everything at or before `position` is in any state read from now on."""

    position: Position
    system_identifier: int


@dataclass(frozen=True, slots=True)
class FactPage:
    """Facts in position order; full: there may be more in the range."""

    facts: Sequence[FactRow]
    full: bool


class FactSource(Protocol):
    """The market's facts in the database. Both may raise whatever the database raises."""

    async def head(self) -> ChainStart: ...

    async def read(self, after: Position, upto: Position | None) -> FactPage:
        """The first facts of `(after, upto]`; without `upto`, of all that are final after `after`."""
        ...


ApplyFact: TypeAlias = Callable[[FactRow], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainOptions:
    """The relay sends at least every 0.5 s: silent after silence_seconds, then this process polls by itself."""

    poll_seconds: float = 0.5
    silence_seconds: float = 1.6
    read_attempts_max: int = 3
    pending_messages_max: int = 64
    streams_tracked_max: int = 50_000


class ChainSubscriber:
    """Applies a market's facts in order, each once, from `start` until `stop`.

    apply is synchronous; what it raises is logged and counted, and the next fact still comes. on_replaced is called
    once when the positions turn out to be another cluster's: nothing is applied from then on, and whatever was built
    from facts must be built anew (a process ends and starts again).
    """

    def __init__(
        self,
        market_id: str,
        bus: Bus,
        source: FactSource,
        apply: ApplyFact,
        *,
        on_replaced: Callable[[], None] | None = None,
        options: ChainOptions | None = None,
    ) -> None:
        self.market_id = market_id
        self._bus = bus
        self._source = source
        self._apply = apply
        self._on_replaced = on_replaced
        self._options = options or ChainOptions()
        self._receiver: ChainReceiver | None = None
        self._replaced = False
        self._heard_at = self._read_at = 0.0
        self._gap = asyncio.Event()
        self._unsubscribe: Unsubscribe | None = None
        self._healer: asyncio.Task[None] | None = None

    @property
    def position(self) -> Position | None:
        """Everything at or before it has been applied; None before start."""
        return None if self._receiver is None else self._receiver.position

    @property
    def silent(self) -> bool:
        """Whether the relay has not been heard for silence_seconds."""
        return asyncio.get_running_loop().time() - self._heard_at > self._options.silence_seconds

    @property
    def flowing(self) -> bool:
        """Whether the relay is heard, or else the database was read for silence_seconds at the latest."""
        now = asyncio.get_running_loop().time()
        return now - max(self._heard_at, self._read_at) <= self._options.silence_seconds + self._options.poll_seconds

    async def start(self) -> None:
        """Take the position, then listen. Read state (boards, snapshots) only after this returns.

        Raises whatever the source raises.
        """
        start = await self._source.head()
        self._receiver = ChainReceiver(
            start.position,
            start.system_identifier,
            pending_messages_max=self._options.pending_messages_max,
            streams_tracked_max=self._options.streams_tracked_max,
        )
        self._heard_at = asyncio.get_running_loop().time()
        self._unsubscribe = self._bus.subscribe(facts_topic(self.market_id), self._on_payload)
        self._healer = asyncio.create_task(self._heal(self._receiver), name=f"chain:{self.market_id}")

    async def stop(self) -> None:
        """Nothing is applied after this returns. Twice is harmless."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        if self._healer is not None:
            self._healer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._healer
            self._healer = None

    def _on_payload(self, payload: bytes) -> None:
        receiver = self._receiver
        if receiver is None or self._replaced:
            return
        try:
            message = decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            _undecodable.labels(self.market_id).inc()
            return
        action = receiver.on_message(message)
        if not (isinstance(action, Ignore) and action.stale):
            self._heard_at = asyncio.get_running_loop().time()
        match action:
            case Apply(facts):
                self._apply_all(facts)
            case NeedRange():
                self._gap.set()
            case Ignore():
                pass
            case Replaced():
                self._replace()
            case _:
                assert_never(action)

    def _replace(self) -> None:
        self._replaced = True
        _log.error("chain_replaced", market_id=self.market_id)
        if self._on_replaced is not None:
            self._on_replaced()

    def _apply_all(self, facts: Iterable[FactRow]) -> None:
        for fact in facts:
            _facts.labels(self.market_id).inc()
            try:
                self._apply(fact)
            except Exception as error:
                _apply_failures.labels(self.market_id).inc()
                _log.exception("fact_apply_failed", market_id=self.market_id, kind=fact.kind, error=repr(error))

    async def _heal(self, receiver: ChainReceiver) -> None:
        while not self._replaced:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._options.poll_seconds):
                    await self._gap.wait()
            self._gap.clear()
            _silent.labels(self.market_id).set(self.silent)
            try:
                if (gap := receiver.gap) is not None:
                    _range_reads.labels(self.market_id, "gap").inc()
                    await self._read(receiver, gap.upto)
                elif self.silent:
                    _range_reads.labels(self.market_id, "silence").inc()
                    await self._read(receiver, None)
                    self._read_at = asyncio.get_running_loop().time()
            except Exception as error:
                # The gap is still there; the next poll asks again.
                _log.warning("chain_read_failed", market_id=self.market_id, error=repr(error))
            _holes.labels(self.market_id).set(receiver.holes)

    async def _read(self, receiver: ChainReceiver, upto: Position | None) -> None:
        full = True
        while full and not self._replaced and (upto is None or receiver.position < upto):
            page = await self._page(receiver.position, upto)
            full = page.full
            last = page.facts[-1].position if page.facts else receiver.position
            self._apply_all(receiver.on_range(page.facts, last if full or upto is None else upto))

    async def _page(self, after: Position, upto: Position | None) -> FactPage:
        async for attempt in stamina.retry_context(
            on=Exception, attempts=self._options.read_attempts_max, timeout=None, wait_initial=0.05, wait_max=1.0
        ):
            with attempt:
                return await self._source.read(after, upto)
        raise AssertionError("stamina raises the last error itself")
