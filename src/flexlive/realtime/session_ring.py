"""The last facts of one session, numbered, until the phone acknowledges them. Bounded three ways: count, age, bytes.

Facts are shared between all sessions that got them; a session keeps only a reference and the time.
"""

from __future__ import annotations

from typing import Final

from flexlive.protocol.limits import RESUME_WINDOW_SECONDS, RING_BYTES_MAX, RING_FACTS_MAX, SEQ_DIGITS
from flexlive.realtime.hub import HubFact

_ENVELOPE_BYTES: Final = len('{"seq":') + SEQ_DIGITS


class SessionRing:
    """Holds the facts (replayable_after, last_seq], without gaps. Times are monotonic seconds."""

    __slots__ = ("_bytes", "_kept", "last_seq")

    def __init__(self) -> None:
        self.last_seq = 0
        self._kept: list[tuple[float, HubFact]] = []
        self._bytes = 0

    def append(self, fact: HubFact, now: float) -> int:
        """Number a fact and keep it; returns its seq. The oldest leave when a bound is reached."""
        kept = self._kept
        kept.append((now, fact))
        self._bytes += _size_bytes(fact)
        self.last_seq += 1
        while len(kept) > RING_FACTS_MAX or self._bytes > RING_BYTES_MAX or kept[0][0] < now - RESUME_WINDOW_SECONDS:
            self._drop_oldest(1)
            if not kept:
                break
        return self.last_seq

    def ack(self, seq: int) -> bool:
        """Forget everything up to seq (cumulative). False: seq was never sent, the phone is not to be trusted."""
        if seq > self.last_seq:
            return False
        acknowledged = seq - self.replayable_after
        if acknowledged > 0:
            self._drop_oldest(acknowledged)
        return True

    @property
    def replayable_after(self) -> int:
        """The smallest seq from which a resume can be served."""
        return self.last_seq - len(self._kept)

    @property
    def oldest_at(self) -> float | None:
        """When the oldest fact kept was numbered; None when everything is acknowledged."""
        return self._kept[0][0] if self._kept else None

    def after(self, seq: int) -> list[tuple[int, HubFact]] | None:
        """The facts after seq, in order; None when some of them are gone."""
        first = self.replayable_after
        if not first <= seq <= self.last_seq:
            return None
        return [(first + 1 + index, fact) for index, (_, fact) in enumerate(self._kept) if first + index >= seq]

    def _drop_oldest(self, count: int) -> None:
        self._bytes -= sum(_size_bytes(fact) for _, fact in self._kept[:count])
        del self._kept[:count]


def _size_bytes(fact: HubFact) -> int:
    return _ENVELOPE_BYTES + (len(fact.template.tail) if fact.template is not None else 0)
