"""Turns planned drivers into real accounts, and accounts into the fleet's manifest."""

from __future__ import annotations

from collections import defaultdict

from flexlive.lab.fleet_messages import FleetDriver, FleetSite, Manifest
from flexlive.lab.ops_client import OpsClient
from flexlive.lab.options import DemoOptions
from flexlive.lab.scenario import DriverPlan, Scenario
from flexlive.lab.world import World
from flexlive.protocol import ops

OFFER_TYPE = "retail_delivery"
# Outages follow each other closely: a command may have to outlive several.
CHAOS_PATIENCE = {"answer_seconds_max": 120.0, "settle_seconds_max": 60.0}


async def cast_drivers(client: OpsClient, scenario: Scenario) -> list[FleetDriver]:
    """An account with vehicle, enrolment and token for each planned driver. Raises DemoError."""
    by_market: dict[str, list[DriverPlan]] = defaultdict(list)
    for plan in scenario.drivers:
        by_market[plan.market_id].append(plan)
    drivers: list[FleetDriver] = []
    for market_id, plans in by_market.items():
        new = [
            ops.NewDriver(first_name=plan.first_name, offer_types=(OFFER_TYPE,) if plan.enrolled else ())
            for plan in plans
        ]
        for plan, account in zip(plans, await client.provision(market_id, new), strict=True):
            drivers.append(
                FleetDriver(
                    market_id=market_id,
                    driver_id=account.driver_id,
                    access_token=account.access_token,
                    first_name=plan.first_name,
                    start=plan.start,
                    on_seconds=plan.on_seconds,
                    off_seconds=plan.off_seconds,
                    enrolled=plan.enrolled,
                )
            )
    return drivers


def manifest_of(
    options: DemoOptions, base_url: str, world: World, scenario: Scenario, drivers: list[FleetDriver]
) -> Manifest:
    """Everything the fleet process needs to know."""
    return Manifest(
        url=f"{base_url.replace('http', 'ws', 1)}/v1/driver",
        seed=options.seed,
        scale=scenario.scale,
        location_seconds=options.location_seconds,
        travel=scenario.travel,
        habits=scenario.habits,
        drivers=tuple(drivers),
        sites=tuple(FleetSite(market_id=s.market_id, site_id=s.site_id, place=s.place) for s in world.sites),
        handoff_codes={store.store_id: store.handoff_code for store in world.stores},
        mishaps={o.external_delivery_id: o.mishap for o in scenario.orders if o.mishap is not None},
        **(CHAOS_PATIENCE if options.chaos else {}),
    )
