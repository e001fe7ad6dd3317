"""Random orders at the pilot malls, doors at real ZIP codes around each."""

from __future__ import annotations

from random import Random

from flexlive.lab.doors import draw_door, zip_areas
from flexlive.lab.geo import near
from flexlive.lab.people import FIRST_NAMES
from flexlive.lab.scenario import DriverPlan, Habits, OrderPlan, Scenario, Travel
from flexlive.lab.world import World, WorldSite

DOOR_METRES_MAX = 9000.0
DRIVER_METRES_MAX = 3500.0
FIRST_ORDER_SECONDS = 0.2
PREP_SECONDS_MIN = 240.0
PREP_SECONDS_MAX = 720.0
PHOTO_SHARE = 0.3
PIN_SHARE = 0.4
TIP_CENTS_MAX = 800

TRAVEL = Travel(
    metres_per_second=9.0,
    detour=1.3,
    pickup_before_seconds=90.0,
    pickup_after_seconds=60.0,
    dropoff_before_seconds=45.0,
    dropoff_after_seconds=30.0,
)


def pilot_scenario(
    world: World, *, drivers: int, orders: int, seconds: float, scale: float, seed: int, run: str
) -> Scenario:
    """The same arguments give the same play. run: goes into order numbers, so that two runs never meet.

    seconds: wall length of ordering. Raises ValueError when a site has no homes around it.
    """
    random = Random(f"{seed} pilot")
    sites = sorted(world.sites, key=lambda site: site.market_id)
    return Scenario(
        name=f"{len(sites)} pilot malls",
        scale=scale,
        order_seconds=seconds,
        travel=TRAVEL,
        habits=Habits(eager=False),
        drivers=tuple(_driver(sites[number % len(sites)], random) for number in range(drivers)),
        orders=_orders(world, sites, orders, seconds, scale, random, f"{run}-{seed}"),
    )


def _driver(site: WorldSite, random: Random) -> DriverPlan:
    return DriverPlan(
        market_id=site.market_id,
        first_name=random.choice(FIRST_NAMES),
        start=near(site.place, DRIVER_METRES_MAX, random),
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
