"""What came before its turn: a link that changes the order of frames is no reason to ask for them again.

Facts behind a gap, a snapshot before its welcome, `live` before the last fact of a replay wait here for what belongs
before them; only when that does not come either, something is missing.
"""

from __future__ import annotations

from math import inf
from typing import Final

from flexlive.protocol.client_effects import ClientPhase
from flexlive.protocol.limits import RING_FACTS_MAX
from flexlive.protocol.server_frames import FactMessage, Live, Snapshot

EARLY_SECONDS_MAX: Final = 1.0
"""So long something may wait for what belongs before it."""
EARLY_FACTS_MAX: Final = RING_FACTS_MAX
"""More than a server keeps cannot be a matter of order."""


class EarlyMessages:
    """Of one connection. Times are monotonic seconds."""

    __slots__ = ("_facts", "_live", "_since", "_snapshot")

    def __init__(self) -> None:
        self._facts: dict[int, FactMessage] = {}
        self._snapshot: Snapshot | None = None
        self._live: Live | None = None
        self._since = inf

    def clear(self) -> None:
        """A new connection."""
        self._facts.clear()
        self._snapshot = self._live = None
        self._since = inf

    @property
    def full(self) -> bool:
        return len(self._facts) >= EARLY_FACTS_MAX

    def keep(self, message: FactMessage | Snapshot | Live, now: float) -> None:
        """Until its turn comes; what repeats itself is kept once."""
        match message:
            case Snapshot():
                self._snapshot = message
            case Live():
                self._live = message
            case _:
                self._facts[message.seq] = message
        self._since = min(self._since, now)

    def next(self, phase: ClientPhase, seq: int, replay_upto: int) -> FactMessage | Snapshot | Live | None:
        """What can be applied now, if it is here; it is no longer afterwards. seq: of the last fact applied."""
        message: FactMessage | Snapshot | Live | None = None
        match phase:
            case ClientPhase.BEGUN:
                message, self._snapshot = self._snapshot, None
            case ClientPhase.REPLAYING if seq >= replay_upto:
                message, self._live = self._live, None
            case ClientPhase.REPLAYING | ClientPhase.LIVE:
                message = self._facts.pop(seq + 1, None)
            case ClientPhase.OPENING | ClientPhase.OFFLINE:
                pass
        return message

    def advanced(self, seq: int, now: float) -> None:
        """Everything up to seq is known now: the time of what still waits begins anew."""
        for known in [each for each in self._facts if each <= seq]:
            del self._facts[known]
        waits = self._facts or self._snapshot is not None or self._live is not None
        self._since = now if waits else inf

    @property
    def deadline(self) -> float:
        """When waiting is over; infinity while nothing waits."""
        return self._since + EARLY_SECONDS_MAX
