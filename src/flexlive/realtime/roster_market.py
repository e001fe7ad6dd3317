"""What one process knows of one market's drivers: its own, and what others have said lately."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Final
from uuid import UUID

from flexlive.realtime.bus import Unsubscribe
from flexlive.realtime.roster_words import CONNECTED, UNREACHABLE, Word

SWEEP_SECONDS: Final = 0.5
"""How seldom words that are too old are looked for."""


@dataclass(slots=True)
class Own:
    """A session of this process. claimed_at: epoch seconds. bits: 0 while it waits for its driver to come back."""

    claimed_at: float
    bits: int


@dataclass(slots=True)
class Heard:
    """The last word of another process about one driver. heard_at: our monotonic seconds."""

    claimed_at: float
    bits: int
    number: int
    heard_at: float


class RosterMarket:
    """Drivers by the 16 bytes of their id."""

    __slots__ = ("_connected", "_swept_at", "changed", "heard", "own", "unsubscribe")

    def __init__(self) -> None:
        self.own: dict[bytes, Own] = {}
        # Process → driver → its last word.
        self.heard: dict[bytes, dict[bytes, Heard]] = {}
        self.changed: dict[bytes, None] = {}
        self.unsubscribe: list[Unsubscribe] = []
        self._connected: frozenset[UUID] | None = None
        self._swept_at = -inf

    def note(self, driver: bytes) -> None:
        """Something about an own driver is new and not yet told."""
        self.changed[driver] = None
        self._connected = None

    def claimed(self, driver: bytes, claimed_at: float) -> None:
        self.own[driver] = Own(claimed_at, CONNECTED)
        self._connected = None

    def told(self, driver: bytes) -> tuple[float, int]:
        """What others are to know of a driver: (claimed_at, bits); zeros when no session is here."""
        own = self.own.get(driver)
        return (0.0, 0) if own is None else (own.claimed_at, own.bits)

    def hear(self, word: Word, now: float) -> list[tuple[bytes, float]]:
        """Take in what another process says; returns those of its claims that concern a session here."""
        heard = self.heard.setdefault(word.process, {})
        contested: list[tuple[bytes, float]] = []
        for driver, claimed_at, bits in word.entries:
            known = heard.get(driver)
            if known is None:
                heard[driver] = Heard(claimed_at, bits, word.number, now)
                self._connected = None
            elif word.number <= known.number:
                continue
            else:
                if known.bits != bits:
                    self._connected = None
                known.claimed_at, known.bits, known.number, known.heard_at = claimed_at, bits, word.number, now
            if claimed_at > 0 and driver in self.own:
                contested.append((driver, claimed_at))
        return contested

    def newest_claim(self, driver: bytes) -> tuple[float, bytes]:
        """(claimed_at, process) of the newest claim others have; (-inf, b"") when none has one."""
        claims = [(word.claimed_at, process) for process, heard in self.heard.items() if (word := heard.get(driver))]
        return max(claims, default=(-inf, b""))

    def connected(self) -> frozenset[UUID]:
        if self._connected is None:
            self._connected = self._with(CONNECTED)
        return self._connected

    def unreachable(self) -> frozenset[UUID]:
        return self._with(CONNECTED | UNREACHABLE)

    def is_connected(self, driver: bytes) -> bool:
        own = self.own.get(driver)
        if own is not None and own.bits & CONNECTED:
            return True
        words = (heard.get(driver) for heard in self.heard.values())
        return any(word is not None and word.bits & CONNECTED for word in words)

    def forget(self, now: float, forget_seconds: float) -> None:
        """Drop words older than forget_seconds; cheap when called often."""
        if now - self._swept_at < SWEEP_SECONDS:
            return
        self._swept_at = now
        for process, heard in list(self.heard.items()):
            for driver in [driver for driver, word in heard.items() if word.heard_at <= now - forget_seconds]:
                del heard[driver]
                self._connected = None
            if not heard:
                del self.heard[process]

    def _with(self, bits: int) -> frozenset[UUID]:
        ids = {driver for driver, own in self.own.items() if own.bits & bits == bits}
        for heard in self.heard.values():
            ids.update(driver for driver, word in heard.items() if word.bits & bits == bits)
        return frozenset(UUID(bytes=driver) for driver in ids)
