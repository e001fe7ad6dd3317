"""The three pilot malls as data: places, hours and promises as requests of the operations API. Retailers are invented.

Places and addresses are those of the malls themselves; an entrance is where a driver would pull up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from typing import Final
from uuid import UUID

from msgspec.structs import replace

from flexlive.domain.sites import ALWAYS_OPEN, Hours, Interval
from flexlive.protocol.merchant import OFFER_TYPE_DEFAULT, ServiceLevelName
from flexlive.protocol.ops import (
    CreateMarket,
    CreateMerchant,
    CreateSite,
    CreateStore,
    Entrance,
    PutOfferType,
    PutServiceLevel,
)

OFFER_TYPE: Final = OFFER_TYPE_DEFAULT


@dataclass(frozen=True, slots=True)
class StorePlan:
    """A counter to be; merchant is the name of its retailer."""

    merchant: str
    external_store_id: str
    name: str
    unit: str
    floor: str
    prep_seconds: int
    hours: Hours
    instructions: str

    def request(self, merchant_id: UUID, site_id: UUID) -> CreateStore:
        return CreateStore(
            merchant_id=merchant_id,
            site_id=site_id,
            external_store_id=self.external_store_id,
            name=self.name,
            unit=self.unit,
            floor=self.floor,
            pickup_instructions=self.instructions,
            hours=self.hours,
            prep_seconds_default=self.prep_seconds,
        )


@dataclass(frozen=True, slots=True)
class MallPlan:
    """Everything of one pilot. Every merchant of its stores takes part."""

    market: CreateMarket
    site: CreateSite
    offer_type: PutOfferType
    service_levels: Mapping[ServiceLevelName, PutServiceLevel]
    stores: tuple[StorePlan, ...]


MERCHANTS: Final = tuple(
    CreateMerchant(name=name)
    for name in ("Blue Kite Toys", "Copper Lamp Home", "Green Door Garments", "Maple Row Books", "Quiet Harbor Beauty")
)

_WEEKDAY, _SUNDAY = (Interval(time(10), time(21)),), (Interval(time(11), time(19)),)
_MALL_HOURS: Final = Hours(
    monday=_WEEKDAY,
    tuesday=_WEEKDAY,
    wednesday=_WEEKDAY,
    thursday=_WEEKDAY,
    friday=_WEEKDAY,
    saturday=_WEEKDAY,
    sunday=_SUNDAY,
)
_LEVELS: Final[Mapping[ServiceLevelName, PutServiceLevel]] = {
    "express": PutServiceLevel(shape="on_demand", promise_seconds=5400, window_end_local=time(22, 30)),
    "same_day": PutServiceLevel(
        shape="wave", promise_seconds=8 * 3600, cutoff_local=time(15), window_end_local=time(21)
    ),
    "two_day": PutServiceLevel(
        shape="wave", promise_seconds=2 * 86_400, cutoff_local=time(18), window_end_local=time(21)
    ),
}
_SHELF: Final = "Ask at the counter for same-day pickup and say the hand-off code."


def _stores(prefix: str, places: tuple[tuple[str, str], ...]) -> tuple[StorePlan, ...]:
    """places: (unit, floor) of each merchant, in the order of MERCHANTS."""
    return tuple(
        StorePlan(merchant.name, f"{prefix}-{unit}", merchant.name, unit, floor, 300 + 60 * index, _MALL_HOURS, _SHELF)
        for index, (merchant, (unit, floor)) in enumerate(zip(MERCHANTS, places, strict=True))
    )


PILOT_MALLS: Final = (
    MallPlan(
        CreateMarket(market_id="las-vegas", name="Las Vegas", time_zone="America/Los_Angeles"),
        CreateSite(
            kind="mall",
            name="Fashion Show Las Vegas",
            address="3200 Las Vegas Blvd S, Las Vegas, NV 89109",
            lat=36.1277,
            lon=-115.1716,
            entrance=Entrance("North entrance, Fashion Show Drive", 36.1289, -115.1713),
            geofence_radius_m=350,
            hours=_MALL_HOURS,
            parking_notes="North garage, level 1, pickup bays beside the elevators.",
        ),
        PutOfferType(name="Retail delivery"),
        _LEVELS,
        _stores("FS", (("1110", "1"), ("2035", "2"), ("1245", "1"), ("2410", "2"), ("1520", "1"))),
    ),
    MallPlan(
        CreateMarket(market_id="chandler", name="Chandler", time_zone="America/Phoenix"),
        CreateSite(
            kind="mall",
            name="Chandler Fashion Center",
            address="3111 W Chandler Blvd, Chandler, AZ 85226",
            lat=33.3020,
            lon=-111.8990,
            entrance=Entrance("South entrance, Chandler Boulevard", 33.3005, -111.8992),
            geofence_radius_m=350,
            hours=_MALL_HOURS,
            parking_notes="South lot, short-stay bays in front of the food court doors.",
        ),
        PutOfferType(name="Retail delivery"),
        _LEVELS,
        _stores("CF", (("1085", "1"), ("2120", "2"), ("1330", "1"), ("2245", "2"), ("1460", "1"))),
    ),
    MallPlan(
        CreateMarket(market_id="tysons", name="Tysons", time_zone="America/New_York"),
        CreateSite(
            kind="mall",
            name="Tysons Corner Center",
            address="1961 Chain Bridge Rd, Tysons, VA 22102",
            lat=38.9176,
            lon=-77.2220,
            entrance=Entrance("East entrance, plaza level", 38.9180, -77.2200),
            geofence_radius_m=350,
            hours=_MALL_HOURS,
            parking_notes="Terrace B, level 2, pickup bays by the sky bridge.",
        ),
        PutOfferType(name="Retail delivery"),
        _LEVELS,
        _stores("TC", (("B12", "B"), ("F6", "1"), ("G21", "1"), ("M14", "M"), ("L9", "2"))),
    ),
)


def malls(*, always_open: bool = False) -> tuple[MallPlan, ...]:
    """The plans as they are, or open round the clock without cut-offs, for runs at any time of day."""
    return tuple(_opened(plan) for plan in PILOT_MALLS) if always_open else PILOT_MALLS


def _opened(plan: MallPlan) -> MallPlan:
    levels: dict[ServiceLevelName, PutServiceLevel] = {
        name: replace(level, cutoff_local=None, window_end_local=None) for name, level in plan.service_levels.items()
    }
    stores = tuple(
        StorePlan(
            store.merchant, store.external_store_id, store.name, store.unit, store.floor, store.prep_seconds,
            ALWAYS_OPEN, store.instructions,
        )
        for store in plan.stores
    )  # fmt: skip
    return MallPlan(plan.market, replace(plan.site, hours=ALWAYS_OPEN), plan.offer_type, levels, stores)
