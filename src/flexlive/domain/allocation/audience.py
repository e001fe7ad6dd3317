"""Who would see an offer, and how likely one of them accepts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from flexlive.domain import cells
from flexlive.domain.allocation.acceptance import accept_probability, any_accepts
from flexlive.domain.allocation.types import DriverView
from flexlive.domain.drivers import Presence
from flexlive.domain.eligibility import Eligible, Work, eligible
from flexlive.domain.geography import Point, distance_m
from flexlive.domain.markets import MarketPolicy


@dataclass(frozen=True, slots=True)
class Reach:
    """A disk of cells around a site. audience: eligible idle drivers within. expected_accepts: of any of them."""

    ring: int
    cells: tuple[int, ...]
    audience: int
    expected_accepts: float


class Audience:
    """The idle drivers of one tick by cell, with the number of offers each of them looks at.

    A driver takes one offer at a time: with n on the screen, the chance for any of them is an n-th."""

    def __init__(self, now: datetime, policy: MarketPolicy, drivers: Iterable[DriverView]) -> None:
        self._policy = policy
        self._by_cell: dict[int, list[DriverView]] = {}
        self._load: dict[UUID, int] = {}
        for driver in drivers:
            if _idle(driver, now, policy):
                self._by_cell.setdefault(driver.cell, []).append(driver)

    def show(self, shown: Iterable[int]) -> None:
        """An offer is, or becomes, visible in these cells."""
        for driver in self._within(shown):
            self._load[driver.driver_id] = self._load.get(driver.driver_id, 0) + 1

    def reach(
        self,
        work: Work,
        site: Point,
        site_cell: int,
        *,
        ring_min: int,
        ring_max: int,
        refused_by: frozenset[UUID],
        shown: frozenset[int] = frozenset(),
    ) -> Reach:
        """The smallest disk from ring_min to ring_max whose expected accepts meet the target, else the largest.

        shown: cells where show() has counted this very work already."""
        audience, nobody, k = 0, 1.0, 0
        while True:
            for p in self._probabilities(work, site, cells.ring(site_cell, k), refused_by, shown):
                audience, nobody = audience + 1, nobody * (1.0 - p)
            if k >= ring_max or (k >= ring_min and 1.0 - nobody >= self._policy.expected_accept_target):
                return Reach(k, cells.disk(site_cell, k), audience, 1.0 - nobody)
            k += 1

    def expected(self, work: Work, site: Point, shown: frozenset[int], refused_by: frozenset[UUID]) -> float:
        """Expected accepts of an open offer that show() has counted in the shown cells."""
        return any_accepts(self._probabilities(work, site, shown, refused_by, shown))

    def _probabilities(
        self, work: Work, site: Point, within: Iterable[int], refused_by: frozenset[UUID], shown: frozenset[int]
    ) -> Iterable[float]:
        for driver in self._within(within):
            if isinstance(eligible(work, driver.state, declined=driver.driver_id in refused_by), Eligible):
                looks_at = self._load.get(driver.driver_id, 0) + (driver.cell not in shown)
                km = distance_m(site, driver.point) / 1000
                yield accept_probability(km, self._policy, driver.acceptance) / looks_at

    def _within(self, within: Iterable[int]) -> Iterable[DriverView]:
        for cell in within:
            yield from self._by_cell.get(cell, ())


def _idle(driver: DriverView, now: datetime, policy: MarketPolicy) -> bool:
    if driver.state.presence is not Presence.ONLINE or driver.state.free_slot is None:
        return False
    fresh = (now - driver.positioned_at).total_seconds() <= policy.position_stale_seconds
    return fresh and (driver.free_at is None or driver.free_at <= now)
