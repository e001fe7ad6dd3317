"""The drivers whose sockets this process holds: where each one is, and which positions are not yet stored.

A hint for ranking and the source of the location writer – never the truth: positions are ephemeral, newest wins,
and other processes hold other drivers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from prometheus_client import Gauge

from flexlive.domain import cells

PRESENCE_RESOLUTION_DEFAULT: Final = 9

_CONNECTED = Gauge(
    "flexlive_drivers_connected", "Drivers with an open socket", ["market_id"], multiprocess_mode="livesum"
)


@dataclass(frozen=True, slots=True)
class Position:
    """Degrees (WGS 84), metres, aware UTC. at: the phone's clock; received_at: ours."""

    lat: float
    lon: float
    accuracy_m: float
    at: datetime
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Present:
    """A driver's newest position and its H3 cell at the market's presence resolution."""

    position: Position
    cell: int


@dataclass(frozen=True, slots=True)
class DirtyPosition:
    """A position the location writer has not stored yet."""

    market_id: str
    driver_id: UUID
    position: Position


class _Market:
    __slots__ = ("by_cell", "connected", "dirty", "present", "resolution")

    def __init__(self) -> None:
        self.resolution = PRESENCE_RESOLUTION_DEFAULT
        self.connected: set[UUID] = set()
        self.present: dict[UUID, Present] = {}
        self.by_cell: dict[int, set[UUID]] = {}
        # Insertion order is the order in which drivers became dirty; one entry a driver bounds it.
        self.dirty: dict[UUID, Position] = {}


class Presence:
    """One per process, touched from its event loop only. No method blocks."""

    __slots__ = ("_markets",)

    def __init__(self) -> None:
        self._markets: dict[str, _Market] = {}

    def configure(self, market_id: str, *, presence_resolution: int) -> None:
        """Index this market's drivers at an H3 resolution (default 9). Call before its drivers connect."""
        self._market(market_id).resolution = presence_resolution

    def connect(self, market_id: str, driver_id: UUID) -> None:
        """A driver's socket is up. Idempotent."""
        market = self._market(market_id)
        market.connected.add(driver_id)
        _CONNECTED.labels(market_id).set(len(market.connected))

    def disconnect(self, market_id: str, driver_id: UUID) -> None:
        """The socket is gone: the driver leaves every index; a position not yet stored stays to be drained."""
        market = self._market(market_id)
        market.connected.discard(driver_id)
        _CONNECTED.labels(market_id).set(len(market.connected))
        present = market.present.pop(driver_id, None)
        if present is not None:
            self._leave_cell(market, driver_id, present.cell)

    def record(self, market_id: str, driver_id: UUID, position: Position) -> Present | None:
        """Keep a position if it is newer than the one known. None: it was not, and nothing changed."""
        market = self._market(market_id)
        before = market.present.get(driver_id)
        if before is not None and position.at <= before.position.at:
            return None
        cell = cells.cell_of(position.lat, position.lon, market.resolution)
        now = Present(position, cell)
        market.present[driver_id] = now
        if before is None or before.cell != cell:
            if before is not None:
                self._leave_cell(market, driver_id, before.cell)
            market.by_cell.setdefault(cell, set()).add(driver_id)
        market.dirty[driver_id] = position
        return now

    def get(self, market_id: str, driver_id: UUID) -> Present | None:
        market = self._markets.get(market_id)
        return market.present.get(driver_id) if market is not None else None

    def connected(self, market_id: str) -> frozenset[UUID]:
        """Drivers of this market with an open socket here, positioned or not."""
        market = self._markets.get(market_id)
        return frozenset(market.connected) if market is not None else frozenset()

    def connected_count(self, market_id: str | None = None) -> int:
        if market_id is not None:
            market = self._markets.get(market_id)
            return len(market.connected) if market is not None else 0
        return sum(len(market.connected) for market in self._markets.values())

    def drivers_in(self, market_id: str, presence_cells: Iterable[int]) -> list[UUID]:
        """Positioned drivers inside any of these cells (at the market's presence resolution)."""
        market = self._markets.get(market_id)
        if market is None:
            return []
        return [driver_id for cell in presence_cells for driver_id in market.by_cell.get(cell, ())]

    def drain_dirty(self, limit_rows: int) -> list[DirtyPosition]:
        """Take up to limit_rows unsaved positions, all of one market, longest-waiting first; [] when clean.

        Markets take turns. A writer that fails gives its rows back with `give_back`.
        """
        for market_id, market in self._markets.items():
            if market.dirty:
                drivers = list(market.dirty)[:limit_rows]
                rows = [DirtyPosition(market_id, driver_id, market.dirty.pop(driver_id)) for driver_id in drivers]
                self._markets[market_id] = self._markets.pop(market_id)
                return rows
        return []

    def give_back(self, rows: Iterable[DirtyPosition]) -> None:
        """Mark drained positions as unsaved again, unless a newer one came in meanwhile."""
        for row in rows:
            self._market(row.market_id).dirty.setdefault(row.driver_id, row.position)

    def _market(self, market_id: str) -> _Market:
        market = self._markets.get(market_id)
        if market is None:
            market = self._markets[market_id] = _Market()
        return market

    @staticmethod
    def _leave_cell(market: _Market, driver_id: UUID, cell: int) -> None:
        drivers = market.by_cell[cell]
        drivers.discard(driver_id)
        if not drivers:
            del market.by_cell[cell]
