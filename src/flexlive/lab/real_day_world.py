"""A recorded day's city, created through the operations API: one market, a street site and a counter per restaurant."""

from __future__ import annotations

import asyncio

from flexlive.domain.markets import MarketPolicy
from flexlive.domain.sites import ALWAYS_OPEN
from flexlive.lab.geo import Place, offset
from flexlive.lab.ops_client import OpsClient
from flexlive.lab.real_day import RealDay, Restaurant
from flexlive.lab.together import together
from flexlive.lab.world import World, WorldSite, WorldStore
from flexlive.protocol import ops

# The set gives metres around an origin of its own; any place far from the poles will do.
ORIGIN = Place(36.10, -115.20)
OFFER_TYPE = "retail_delivery"
SERVICE_LEVEL = "express"
REQUESTS_AT_ONCE_MAX = 8
SILENT_WALL_SECONDS = 20.0


def place_of(x_m: float, y_m: float) -> Place:
    """Metres of the set as degrees."""
    return offset(ORIGIN, x_m, y_m)


def market_of(day: RealDay, run: str, speed: float) -> ops.CreateMarket:
    """The day's own speed and visit times, so that estimates speak of the same city. speed: policy seconds per wall
    second; phones reconnect in wall seconds however fast the play is, so their silence is counted in those."""
    parameters = day.parameters
    return ops.CreateMarket(
        market_id=f"recorded-day-{run}",
        name=f"Recorded day {day.name}",
        time_zone="America/Los_Angeles",
        policy=MarketPolicy(
            travel_speed_mps=parameters.metres_per_minute / 60,
            detour_factor=1.0,
            service_site_seconds=parameters.pickup_service_minutes * 60,
            service_door_seconds=parameters.dropoff_service_minutes * 60,
            driver_silent_seconds=SILENT_WALL_SECONDS * speed,
            driver_gone_seconds=SILENT_WALL_SECONDS * speed,
        ),
    )


async def build_world(client: OpsClient, day: RealDay, run: str, speed: float) -> World:
    """Creates everything; returns what orders and drivers will need. run: keeps two plays apart. Raises DemoError."""
    market_id = (await client.create_market(market_of(day, run, speed))).market_id
    await client.put_offer_type(market_id, OFFER_TYPE, ops.PutOfferType(name="Retail delivery"))
    promise_seconds = int(day.parameters.maximum_click_to_door_minutes * 60)
    level = ops.PutServiceLevel(shape="on_demand", promise_seconds=promise_seconds)
    await client.put_service_level(market_id, SERVICE_LEVEL, level)
    merchant = await client.create_merchant(ops.CreateMerchant(name=f"Street shops of {market_id}"))
    gate = asyncio.Semaphore(REQUESTS_AT_ONCE_MAX)
    # Only restaurants that will be ordered from need to exist.
    used = {order.restaurant for order in day.orders}
    shops = [
        _shop(client, gate, market_id, merchant, restaurant)
        for restaurant in day.restaurants
        if restaurant.restaurant in used
    ]
    pairs = await together(*shops)
    return World(sites=tuple(site for site, _ in pairs), stores=tuple(store for _, store in pairs))


async def _shop(
    client: OpsClient, gate: asyncio.Semaphore, market_id: str, merchant: ops.MerchantCreated, restaurant: Restaurant
) -> tuple[WorldSite, WorldStore]:
    place, name = place_of(restaurant.x_m, restaurant.y_m), f"Shop {restaurant.restaurant}"
    async with gate:
        site = await client.create_site(
            market_id,
            ops.CreateSite(
                kind="store",
                name=name,
                address=f"{name}, recorded street",
                lat=place.lat,
                lon=place.lon,
                entrance=ops.Entrance("Door", place.lat, place.lon),
                hours=ALWAYS_OPEN,
            ),
        )
        store = await client.create_store(
            market_id,
            ops.CreateStore(
                merchant_id=merchant.merchant_id,
                site_id=site.site_id,
                external_store_id=restaurant.restaurant,
                name=name,
                hours=ALWAYS_OPEN,
            ),
        )
        await client.put_participation(
            market_id,
            ops.PutParticipation(merchant_id=merchant.merchant_id, site_id=site.site_id, offer_type=OFFER_TYPE),
        )
    return (
        WorldSite(market_id=market_id, site_id=site.site_id, name=name, place=place),
        WorldStore(
            market_id=market_id,
            site_id=site.site_id,
            merchant_id=merchant.merchant_id,
            store_id=store.store_id,
            external_store_id=store.external_store_id,
            name=name,
            handoff_code=store.handoff_code,
            api_key=merchant.api_key,
        ),
    )
