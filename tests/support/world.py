"""A small market made through the use cases themselves: one site, one store, drivers online at its door."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from flexlive.domain.markets import MarketPolicy
from flexlive.domain.sites import Hours
from flexlive.protocol import merchant as merchant_wire
from flexlive.protocol import ops
from flexlive.protocol.driver import OfferAccept
from flexlive.runtime import open_context
from flexlive.services import deliveries, enrolments, markets, merchants, tokens
from flexlive.services.context import Context
from flexlive.services.drivers import DriverPrincipal, authenticate
from flexlive.services.offers import AcceptItem
from flexlive.services.tokens import MerchantPrincipal
from flexlive.settings import Settings
from flexlive.storage.drivers import PositionRow, write_positions
from flexlive.storage.pool import PoolOptions

SITE = (36.1275, -115.1710)
LAZY_POOL = PoolOptions(min_size=1)
"""Sessions as they are needed: a test seldom needs eight, and each costs its start and its warming up."""
ALWAYS_OPEN = {
    day: [{"opens": "00:00:00", "closes": "00:00:00"}]
    for day in ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
}


def hours() -> Hours:
    import msgspec

    return msgspec.convert(ALWAYS_OPEN, Hours)


@dataclass
class World:
    """One market. drivers: authenticated, online, standing at the site."""

    ctx: Context
    market_id: str
    merchant: MerchantPrincipal
    store: ops.Store
    site: ops.Site
    drivers: list[DriverPrincipal] = field(default_factory=list)
    driver_tokens: list[str] = field(default_factory=list)
    api_key: str = ""
    orders: int = 0

    async def order(self, **changes: object) -> merchant_wire.DeliveryCreated:
        """Place one more order, two kilometres away unless changes say otherwise."""
        self.orders += 1
        request = merchant_wire.CreateDelivery(
            **{
                "external_delivery_id": f"order-{self.orders}-{uuid4().hex[:8]}",
                "external_store_id": self.store.external_store_id,
                "service_level": "express",
                "dropoff_address": "1 Elm St",
                "dropoff_lat": SITE[0] + 0.018,
                "dropoff_lon": SITE[1],
                "contact_name": "Ana",
                "tip_cents": 300,
                "packages": (merchant_wire.PackageRequest(),),
                **changes,
            }
        )
        created, _ = await deliveries.create(self.ctx, self.merchant, request, merchant_wire.canonical_sha256(request))
        return created

    async def add_drivers(self, count: int, *, online: bool = True) -> Sequence[DriverPrincipal]:
        """New drivers; online ones stand at the site with a fresh stored position."""
        offered = ops.ProvisionDrivers(
            drivers=tuple(
                ops.NewDriver(first_name=f"Driver{i}", offer_types=("retail_delivery",)) for i in range(count)
            )
        )
        made = await enrolments.provision(self.ctx, self.market_id, offered)
        added: list[DriverPrincipal] = []
        for driver in made:
            principal = await authenticate(self.ctx, driver.access_token)
            assert isinstance(principal, DriverPrincipal)
            added.append(principal)
            self.driver_tokens.append(driver.access_token)
        self.drivers.extend(added)
        if online:
            await self.go_online([driver.driver_id for driver in added])
        return added

    async def go_online(self, driver_ids: Sequence[UUID]) -> None:
        now = self.ctx.clock()
        async with self.ctx.pool.acquire() as conn:
            await conn.execute(
                "update driver set presence = 'online' where market_id = $1 and driver_id = any($2)",
                self.market_id,
                driver_ids,
            )
            rows = [PositionRow(driver_id, *SITE, 5.0, now, now) for driver_id in driver_ids]
            await write_positions(conn, self.market_id, rows)


def accept_item(driver: DriverPrincipal, offer_id: UUID, cmd: str = "a-1", device: str = "phone") -> AcceptItem:
    return AcceptItem(driver, device, OfferAccept(cmd=cmd, offer_id=offer_id, offer_version=1))


async def build_world(
    ctx: Context, *, drivers: int = 0, market_id: str = "testville", policy: MarketPolicy | None = None
) -> World:
    await markets.create(
        ctx,
        ops.CreateMarket(
            market_id=market_id,
            name=market_id.title(),
            time_zone="America/Los_Angeles",
            policy=policy or MarketPolicy(),
        ),
    )
    await markets.put_offer_type(ctx, market_id, "retail_delivery", ops.PutOfferType(name="Retail delivery"))
    await markets.put_service_level(
        ctx, market_id, "express", ops.PutServiceLevel(shape="on_demand", promise_seconds=7200)
    )
    site = await markets.create_site(
        ctx,
        market_id,
        ops.CreateSite(
            kind="mall",
            name="The Mall",
            address="1 Mall Way",
            lat=SITE[0],
            lon=SITE[1],
            entrance=ops.Entrance("South door", *SITE),
            hours=hours(),
        ),
    )
    made = await merchants.create(ctx, ops.CreateMerchant(name=f"Shop of {market_id}"))
    store = await merchants.create_store(
        ctx,
        market_id,
        ops.CreateStore(
            merchant_id=made.merchant_id,
            site_id=site.site_id,
            external_store_id=f"{market_id}-1",
            name="Shop",
            hours=hours(),
        ),
    )
    await markets.put_participation(
        ctx,
        market_id,
        ops.PutParticipation(merchant_id=made.merchant_id, site_id=site.site_id, offer_type="retail_delivery"),
    )
    merchant = await tokens.verify_merchant(ctx, made.api_key)
    world = World(ctx, market_id, merchant, store, site, api_key=made.api_key)
    if drivers:
        await world.add_drivers(drivers)
    return world


@asynccontextmanager
async def open_test_context(database_url: str) -> AsyncIterator[Context]:
    async with open_context(Settings(pool=LAZY_POOL), database_url) as ctx:
        yield ctx
