"""Random orders at the pilot malls, doors at real ZIP codes around each."""

from __future__ import annotations

from itertools import cycle
from random import Random
from typing import Any

from msgspec import structs

from flexlive.lab.doors import draw_door, zip_areas
from flexlive.lab.geo import near
from flexlive.lab.people import FIRST_NAMES
from flexlive.lab.scenario import DriverPlan, Habits, Mishap, OrderPlan, Scenario, Travel
from flexlive.lab.world import World, WorldSite

DOOR_METRES_MAX = 9000.0
DRIVER_METRES_MAX = 3500.0
FIRST_ORDER_SECONDS = 0.2
PREP_SECONDS_MIN = 240.0
PREP_SECONDS_MAX = 720.0
PHOTO_SHARE = 0.3
PIN_SHARE = 0.4
TIP_CENTS_MAX = 800
# So many drivers come without an enrolment; coprime to the number of malls, so that each mall has some.
UNENROLLED_ONE_IN = 5

TRAVEL = Travel(
    metres_per_second=9.0,
    detour=1.3,
    pickup_before_seconds=90.0,
    pickup_after_seconds=60.0,
    dropoff_before_seconds=45.0,
    dropoff_after_seconds=30.0,
)


def pilot_scenario(
    world: World,
    *,
    drivers: int,
    orders: int,
    seconds: float,
    scale: float,
    seed: int,
    run: str,
    mishap_share: float = 0.0,
) -> Scenario:
    """The same arguments give the same play. run: goes into order numbers, so that two runs never meet.

    seconds: wall length of ordering. mishap_share: of the orders, see `with_mishaps`. Raises ValueError when a site
    has no homes around it.
    """
    random = Random(f"{seed} pilot")
    sites = sorted(world.sites, key=lambda site: site.market_id)
    return Scenario(
        name=f"{len(sites)} pilot malls",
        scale=scale,
        order_seconds=seconds,
        travel=TRAVEL,
        habits=Habits(eager=False),
        drivers=tuple(
            _driver(sites[number % len(sites)], random, enrolled=number % UNENROLLED_ONE_IN != UNENROLLED_ONE_IN - 1)
            for number in range(drivers)
        ),
        pilot=True,
        orders=with_mishaps(_orders(world, sites, orders, seconds, scale, random, f"{run}-{seed}"), mishap_share, seed),
    )


def with_mishaps(orders: tuple[OrderPlan, ...], share: float, seed: int) -> tuple[OrderPlan, ...]:
    """So many of the orders go wrong, each kind in turn; never the first, which newcomers watch."""
    random = Random(f"{seed} mishaps")
    count = min(round(share * len(orders)), max(0, len(orders) - 1))
    kinds = list(Mishap)
    random.shuffle(kinds)
    spoilt = dict(zip(sorted(random.sample(range(1, len(orders)), count)), cycle(kinds), strict=False))
    return tuple(_spoilt(order, spoilt.get(number)) for number, order in enumerate(orders))


def _spoilt(order: OrderPlan, mishap: Mishap | None) -> OrderPlan:
    changes: dict[str, Any] = {"mishap": mishap}
    match mishap:
        case Mishap.PARTIAL_PICKUP:
            changes["packages"] = max(2, order.packages)
        case Mishap.LEFT_AT_DOOR:
            changes["undeliverable_action"] = "leave_at_door"
        case _:
            pass
    return structs.replace(order, **changes)


def _driver(site: WorldSite, random: Random, *, enrolled: bool) -> DriverPlan:
    return DriverPlan(
        market_id=site.market_id,
        first_name=random.choice(FIRST_NAMES),
        start=near(site.place, DRIVER_METRES_MAX, random),
        enrolled=enrolled,
    )


def _orders(
    world: World, sites: list[WorldSite], orders: int, seconds: float, scale: float, random: Random, prefix: str
) -> tuple[OrderPlan, ...]:
    areas = {site.site_id: zip_areas(site.place, DOOR_METRES_MAX) for site in sites}
    stores = {site.site_id: [store for store in world.stores if store.site_id == site.site_id] for site in sites}
    moments = sorted(random.uniform(FIRST_ORDER_SECONDS, seconds) for _ in range(max(0, orders - 1)))
    plans: list[OrderPlan] = []
    for number, moment in enumerate([FIRST_ORDER_SECONDS, *moments][:orders]):
        site = sites[number % len(sites)]
        door = draw_door(areas[site.site_id], site.place, DOOR_METRES_MAX, random)
        plans.append(
            OrderPlan(
                at_seconds=moment,
                external_delivery_id=f"{prefix}-{number + 1:04d}",
                external_store_id=random.choice(stores[site.site_id]).external_store_id,
                service_level="express",
                prep_seconds=random.uniform(PREP_SECONDS_MIN, PREP_SECONDS_MAX) / scale,
                door=door,
                contact_name=random.choice(FIRST_NAMES),
                packages=random.choices((1, 2, 3), (6, 3, 1))[0],
                tip_cents=random.randrange(0, TIP_CENTS_MAX, 50),
                pincode=random.random() < PIN_SHARE,
                photo=random.random() < PHOTO_SHARE,
            )
        )
    return tuple(plans)
