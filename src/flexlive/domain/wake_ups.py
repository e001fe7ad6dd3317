"""Whom to ring for an open offer: drivers it is for whose phones are not connected, or do not show it.

Time is an argument, in monotonic seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from flexlive.domain.allocation.types import DriverView, OpenOfferView
from flexlive.domain.eligibility import Eligible, eligible

Reason = Literal["away", "unseen"]
"""away: no connection anywhere answers. unseen: one does, and the app has not shown the offer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeRules:
    """away_seconds: a phone that was connected that lately is given the time to come back by itself.
    unseen_seconds: how long a connected app may take to show an offer. gone_seconds: without a sign of life for so long
    nobody is connected, whatever is known of other processes."""

    away_seconds: float = 10.0
    unseen_seconds: float = 15.0
    gone_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Wanted:
    offer_id: UUID
    driver_id: UUID
    reason: Reason


def audience(offer: OpenOfferView, drivers: Iterable[DriverView]) -> Iterator[UUID]:
    """Drivers in the offer's cells who may win it now."""
    cells = frozenset(offer.cells)
    for driver in drivers:
        if driver.cell in cells:
            verdict = eligible(offer, driver.state, declined=driver.driver_id in offer.declined_by)
            if isinstance(verdict, Eligible):
                yield driver.driver_id


class Attention:
    """Since when phones of one market have been without a connection, or with one and without a glance at an offer.

    Knows nothing from before it began, and nothing of a time in which nobody looked."""

    __slots__ = ("_began", "_lately", "_rules", "_since")

    def __init__(self, began: float, rules: WakeRules) -> None:
        self._began, self._rules = began, rules
        self._lately: deque[tuple[float, Set[UUID]]] = deque()
        self._since: dict[tuple[UUID, UUID], float] = {}

    def look(self, now: float, reachable: Set[UUID], *, whole: bool = True) -> None:
        """reachable: drivers whose phones are connected and answer. whole: in whichever process; else other processes
        cannot be heard, and their drivers may be missing."""
        if not whole or (self._lately and now - self._lately[-1][0] > self._rules.away_seconds):
            self._began = now
        self._lately.append((now, reachable))
        while self._lately[0][0] < now - self._rules.away_seconds:
            self._lately.popleft()

    def judge(self, now: float, pairs: Iterable[tuple[UUID, UUID]], gone: Set[UUID] = frozenset()) -> list[Wanted]:
        """Which of these (offer, driver), none of them shown or rung yet, want a ring now.

        gone: drivers who have given no sign of life of any kind for long: away, unless they are reachable.
        Call after look, with every pair there is: one that is left out starts anew."""
        reachable = self._lately[-1][1]
        wanted: list[Wanted] = []
        since: dict[tuple[UUID, UUID], float] = {}
        for offer_id, driver_id in pairs:
            if driver_id in reachable:
                shown = since[offer_id, driver_id] = self._since.get((offer_id, driver_id), now)
                if now - shown >= self._rules.unseen_seconds:
                    wanted.append(Wanted(offer_id, driver_id, "unseen"))
            elif driver_id in gone or self._is_away(now, driver_id):
                wanted.append(Wanted(offer_id, driver_id, "away"))
        self._since = since
        return wanted

    def _is_away(self, now: float, driver_id: UUID) -> bool:
        # Who was connected before this began is not known: as long as it takes to come back, nobody is away.
        if now - self._began < self._rules.away_seconds:
            return False
        return not any(driver_id in reachable for _, reachable in self._lately)
