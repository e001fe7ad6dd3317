"""The pilot malls as the players need them: seeded by the real command, then asked for over the operations API."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from flexlive.lab.geo import Place
from flexlive.lab.ops_client import OpsClient
from flexlive.lab.options import DemoError
from flexlive.lab.processes import Child, ChildOptions
from flexlive.lab.world import World, WorldSite, WorldStore

SEED_SECONDS_MAX = 60.0


async def seed_pilot_malls(dsn: str, log: Path) -> None:
    """Runs `flexlive seed pilot-malls --always-open`; doing it twice does no harm. Raises DemoError."""
    arguments = ["-m", "flexlive", "seed", "pilot-malls", "--always-open"]
    child = await Child.start(arguments, ChildOptions(name="seed", log=log), env={"FLEXLIVE_DATABASE_URL": dsn})
    try:
        if await child.wait(SEED_SECONDS_MAX) != 0:
            raise DemoError(f"seeding the pilot malls failed\n{child.log_tail()}")
    finally:
        await child.stop()


async def pilot_world(client: OpsClient) -> World:
    """Every mall of this database with its stores, and a new key for each of their merchants. Raises DemoError."""
    sites: list[WorldSite] = []
    stores: list[WorldStore] = []
    keys: dict[UUID, str] = {}
    for market in await client.markets():
        malls = {s.site_id: s for s in await client.sites(market.market_id) if s.kind == "mall"}
        for store in await client.stores(market.market_id) if malls else []:
            if store.site_id not in malls:
                continue
            if store.merchant_id not in keys:
                keys[store.merchant_id] = (await client.create_key(store.merchant_id)).api_key
            stores.append(
                WorldStore(
                    market_id=market.market_id,
                    site_id=store.site_id,
                    merchant_id=store.merchant_id,
                    store_id=store.store_id,
                    external_store_id=store.external_store_id,
                    name=store.name,
                    handoff_code=store.handoff_code,
                    api_key=keys[store.merchant_id],
                )
            )
        with_stores = {store.site_id for store in stores}
        sites += [
            WorldSite(
                market_id=market.market_id,
                site_id=site.site_id,
                name=site.name,
                place=Place(site.entrance.lat, site.entrance.lon),
            )
            for site in malls.values()
            if site.site_id in with_stores
        ]
    if not stores:
        raise DemoError("this database has no mall with stores")
    return World(sites=tuple(sites), stores=tuple(stores))
