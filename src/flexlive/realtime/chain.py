"""The relay chain, pure: how committed facts travel from one relay to many processes over a bus that may lose,
double and reorder anything.

A message is exactly the facts of `(after, upto]` in position order, so whoever missed one reads the same range from
PostgreSQL instead. A position is final once published: no fact is ever added below it (see storage/relay.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

import msgspec
from msgspec import Raw, Struct


class Position(Struct, frozen=True, order=True, array_like=True, gc=False):
    """A place in a market's facts; (xid, event_id) order never contradicts the order of a stream."""

    xid: int
    event_id: int


class FactRow(Struct, frozen=True, gc=False):
    """One committed event. `data` is the JSON of its `data` column, as stored."""

    market_id: str
    event_id: int
    xid: int
    stream: str
    seq: int
    kind: str
    occurred_at: datetime
    data: Raw

    @property
    def position(self) -> Position:
        return Position(self.xid, self.event_id)


class ChainMessage(Struct, frozen=True, gc=False):
    """All facts of `(after, upto]`; none and after = upto is the sign of life.

    system_identifier names the PostgreSQL cluster whose positions these are; term is the relay's lease.
    """

    market_id: str
    system_identifier: int
    term: int
    after: Position
    upto: Position
    facts: tuple[FactRow, ...]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ChainMessage).decode
# What a fact weighs on the bus besides its data: ids, times, names of fields.
_FACT_OVERHEAD_BYTES: Final = 320


def facts_topic(market_id: str) -> str:
    return f"facts.{market_id}"


def wake_topic(market_id: str) -> str:
    """Where processes without the lease tell the relay that they committed."""
    return f"wake.{market_id}"


def encode(message: ChainMessage) -> bytes:
    return _encode(message)


def decode(payload: bytes) -> ChainMessage:
    """Raises msgspec.DecodeError (ValidationError included) or UnicodeDecodeError."""
    return _decode(payload)


def link(
    sign_of_life: ChainMessage, facts: Sequence[FactRow], *, message_bytes_max: int, message_facts_max: int
) -> Iterator[ChainMessage]:
    """Messages that continue the chain from `sign_of_life.upto` with `facts`, given in position order.

    A single fact above message_bytes_max travels alone; a bus that refuses it only makes receivers read the range.
    """
    after = sign_of_life.upto
    batch: list[FactRow] = []
    size_bytes = 0
    for fact in facts:
        fact_bytes = len(bytes(fact.data)) + _FACT_OVERHEAD_BYTES
        if batch and (size_bytes + fact_bytes > message_bytes_max or len(batch) >= message_facts_max):
            message = msgspec.structs.replace(sign_of_life, after=after, upto=batch[-1].position, facts=tuple(batch))
            yield message
            after, batch, size_bytes = message.upto, [], 0
        batch.append(fact)
        size_bytes += fact_bytes
    if batch:
        yield msgspec.structs.replace(sign_of_life, after=after, upto=batch[-1].position, facts=tuple(batch))


@dataclass(frozen=True, slots=True)
class Apply:
    """New facts, each given exactly once, in order."""

    facts: tuple[FactRow, ...]


@dataclass(frozen=True, slots=True)
class NeedRange:
    """Messages are missing: read `(after, upto]` from PostgreSQL and hand it to `on_range`."""

    after: Position
    upto: Position


@dataclass(frozen=True, slots=True)
class Ignore:
    """Nothing new: a sign of life, a double, or a relay that has lost its lease (stale)."""

    stale: bool = False


@dataclass(frozen=True, slots=True)
class Replaced:
    """The positions are another cluster's (restore, move): what this process built from facts must be built anew."""

    system_identifier: int


Action: TypeAlias = Apply | NeedRange | Ignore | Replaced


class ChainReceiver:
    """One process's place in one market's chain.

    `position` must have been read before whatever state the facts are applied to. Messages ahead of a gap wait, at
    most pending_messages_max of them; the last seq of at most streams_tracked_max streams is kept to drop known
    facts and to count holes, which the reading rule makes impossible: `holes` above 0 is a defect.
    """

    def __init__(
        self,
        position: Position,
        system_identifier: int,
        *,
        pending_messages_max: int = 64,
        streams_tracked_max: int = 50_000,
    ) -> None:
        self.position = position
        self.term = 0
        self.holes = 0
        self.known = 0
        self._system_identifier = system_identifier
        self._pending: dict[Position, ChainMessage] = {}
        self._pending_messages_max = pending_messages_max
        self._last_seq: dict[str, int] = {}
        self._streams_tracked_max = streams_tracked_max

    @property
    def gap(self) -> NeedRange | None:
        """The range to read next; None while nothing is known to be missing."""
        if not self._pending:
            return None
        return NeedRange(self.position, min(self._pending))

    def on_message(self, message: ChainMessage) -> Action:
        """What to do about a message from the bus."""
        if message.system_identifier != self._system_identifier:
            return Replaced(message.system_identifier)
        if message.term < self.term:
            return Ignore(stale=True)
        self.term = message.term
        if message.after > self.position:
            self._keep(message)
            return NeedRange(self.position, min(self._pending))
        facts = self._advance(message.facts, message.upto) + self._drain()
        return Apply(facts) if facts else Ignore()

    def on_range(self, facts: Sequence[FactRow], upto: Position) -> tuple[FactRow, ...]:
        """Take what PostgreSQL has in `(after, upto]`, read from an `after` that was this receiver's position."""
        return self._advance(facts, upto) + self._drain()

    def _keep(self, message: ChainMessage) -> None:
        known = self._pending.get(message.after)
        if known is None or known.upto < message.upto:
            self._pending[message.after] = message
        if len(self._pending) > self._pending_messages_max:
            # The farthest can be read as a range later; the nearest close the gap.
            del self._pending[max(self._pending)]

    def _drain(self) -> tuple[FactRow, ...]:
        facts: tuple[FactRow, ...] = ()
        while self._pending and (nearest := min(self._pending)) <= self.position:
            message = self._pending.pop(nearest)
            facts += self._advance(message.facts, message.upto)
        return facts

    def _advance(self, facts: Sequence[FactRow], upto: Position) -> tuple[FactRow, ...]:
        fresh = tuple(fact for fact in facts if fact.position > self.position and self._is_next(fact))
        self.position = max(self.position, upto)
        return fresh

    def _is_next(self, fact: FactRow) -> bool:
        last = self._last_seq.pop(fact.stream, None)
        if last is not None and fact.seq <= last:
            self._last_seq[fact.stream] = last
            self.known += 1
            return False
        if last is not None and fact.seq > last + 1:
            self.holes += 1
        self._last_seq[fact.stream] = fact.seq
        if len(self._last_seq) > self._streams_tracked_max:
            del self._last_seq[next(iter(self._last_seq))]
        return True
