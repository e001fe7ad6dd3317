"""Plain values that several test modules start from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import strategies as st

from flexlive.domain import cells
from flexlive.domain.allocation.types import DriverView, PendingDelivery
from flexlive.domain.drivers import DriverState, DriverStatus, Presence, Vehicle
from flexlive.domain.geography import Point
from flexlive.domain.offers import OfferState, OfferStatus

NOW = datetime(2026, 5, 4, 17, 0, tzinfo=UTC)
FASHION_SHOW = Point(36.1276, -115.1716)
OFFER_TYPE = "retail_delivery"

instants = st.integers(0, 365 * 86_400 * 1000).map(
    lambda milliseconds: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
)
points = st.builds(Point, st.floats(-90, 90), st.floats(-180, 180))


def uid(number: int) -> UUID:
    return UUID(int=number)


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def driver_state(number: int = 1, **changes: object) -> DriverState:
    values: dict[str, object] = {
        "driver_id": uid(number),
        "status": DriverStatus.ACTIVE,
        "presence": Presence.ONLINE,
        "enrolled": frozenset({OFFER_TYPE}),
        "vehicle": Vehicle(packages_max=12, weight_grams_max=100_000, carries_upright=True),
    }
    return DriverState(**(values | changes))  # type: ignore[arg-type]


def offer_state(number: int = 100, **changes: object) -> OfferState:
    values: dict[str, object] = {
        "offer_id": uid(number),
        "status": OfferStatus.OPEN,
        "version": 1,
        "valid_until": NOW + seconds(60),
        "offer_type": OFFER_TYPE,
    }
    return OfferState(**(values | changes))  # type: ignore[arg-type]


def driver_view(number: int, point: Point = FASHION_SHOW, **changes: object) -> DriverView:
    values: dict[str, object] = {"positioned_at": NOW}
    cell = cells.cell_of(point.lat, point.lon, 7)
    return DriverView(driver_state(number), point, cell, **(values | changes))  # type: ignore[arg-type]


def pending(number: int, site: Point = FASHION_SHOW, **changes: object) -> PendingDelivery:
    values: dict[str, object] = {
        "delivery_id": uid(number),
        "site_id": uid(9000),
        "site": site,
        "site_cell": cells.cell_of(site.lat, site.lon, 7),
        "offer_type": OFFER_TYPE,
        "created_at": NOW,
        "pickup_ready_at": NOW,
        "pickup_deadline_at": NOW + seconds(3600),
    }
    return PendingDelivery(**(values | changes))  # type: ignore[arg-type]
