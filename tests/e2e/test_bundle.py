"""One offer with three orders of two counters: one check-in, a pickup at each counter, the doors in order; and on each
customer's wire nothing of the driver but on the leg to that customer's own door."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

import pytest

from flexlive.domain.markets import MarketPolicy
from flexlive.protocol import driver as wire
from flexlive.protocol import ops
from flexlive.protocol.merchant import DeliveryCreated
from flexlive.protocol.views import RouteView, StopView
from flexlive.services import merchants
from flexlive.storage import audit
from tests.support.http_server import Server, serve
from tests.support.phones import Phone
from tests.support.sse import Event, Stream, open_stream
from tests.support.tracking import token_of
from tests.support.world import SITE, World, build_world, hours

# Positions of the test jump from place to place; an order is offered once it is ready, all three in one look.
POLICY = MarketPolicy(bundle_deliveries_max=3, offer_lead_seconds=0, speed_mps_max=1e9)
READY_IN_SECONDS = 0.6
NORTH_OF_SITE = (0.030, 0.010, 0.020)
OWN_LEG = ("enroute_to_dropoff", "arrived_at_dropoff")


@dataclass
class Customer:
    """Everything that came over one customer's stream, in order."""

    order: DeliveryCreated
    events: list[Event] = field(default_factory=list)

    async def follow(self, stream: Stream) -> None:
        while (event := await stream.next(60)) is not None:
            self.events.append(event)

    def statuses(self) -> list[str]:
        said = [event.data["status"] for event in self.events if event.name == "fact"]
        return [status for status, _ in groupby(said)]


@asynccontextmanager
async def following(server: Server, customers: list[Customer]) -> AsyncIterator[list[asyncio.Task[None]]]:
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(open_stream(server.url, token_of(each.order))) for each in customers]
        tasks = [asyncio.create_task(each.follow(stream)) for each, stream in zip(customers, streams, strict=True)]
        try:
            yield tasks
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@dataclass
class Drive:
    """The driver's phone on its way; a position is sent wherever it goes."""

    phone: Phone
    route: RouteView
    count: int = 0

    async def send(self, frame: type, /, **fields: Any) -> None:
        self.count += 1
        result = await self.phone.command(frame(cmd=f"c-{self.count}", **fields))
        while result.code == "rate_limited":
            # A phone goes at a walking pace; a test has to be slowed down.
            await asyncio.sleep((result.retry_after_ms or 100) / 1000)
            self.count += 1
            result = await self.phone.command(frame(cmd=f"c-{self.count}", **fields))
        assert result.code == "ok", (frame, fields, result)

    async def moved(self, lat: float, lon: float) -> None:
        now = datetime.now(UTC)
        await self.phone.send(wire.Location(points=(wire.Point(lat=lat, lon=lon, at=now, accuracy_m=5),)))

    async def check_in(self, stop: StopView) -> None:
        # From a little way off: a position at the very door would check in by itself.
        await self.moved(stop.lat + 0.0015, stop.lon)
        now = datetime.now(UTC)
        here = wire.Point(lat=stop.lat, lon=stop.lon, at=now, accuracy_m=5)
        await self.send(wire.CheckIn, stop_id=stop.stop_id, method="geofence", at=now, point=here)

    async def pick_up(self, stop: StopView, code: str) -> None:
        for delivery in stop.deliveries:
            for package in delivery.packages:
                await self.send(wire.Scan, stop_id=stop.stop_id, barcode=package.barcode, occurred_at=datetime.now(UTC))
        await self.send(wire.PickupConfirm, stop_id=stop.stop_id, store_code=code)

    async def deliver(self, stop: StopView) -> None:
        await self.moved(stop.lat - 0.004, stop.lon)
        await self.send(wire.Depart, stop_id=stop.stop_id)
        await self.check_in(stop)
        delivery_id = stop.deliveries[0].delivery_id
        await self.send(wire.Deliver, delivery_id=delivery_id, occurred_at=datetime.now(UTC))
        await self.moved(stop.lat + 0.001, stop.lon)


@pytest.fixture
async def server(database_url: str) -> AsyncIterator[Server]:
    async with serve(database_url) as running:
        yield running


async def second_store(world: World) -> ops.Store:
    return await merchants.create_store(
        world.ctx,
        world.market_id,
        ops.CreateStore(
            merchant_id=world.merchant.merchant_id,
            site_id=world.site.site_id,
            external_store_id="testville-2",
            name="Shop upstairs",
            unit="200",
            floor="2",
            hours=hours(),
        ),
    )


async def three_orders(world: World) -> list[Customer]:
    """Two of the shop, one of the shop upstairs; the doors are not in the order of the orders."""
    ready = datetime.now(UTC) + timedelta(seconds=READY_IN_SECONDS)
    stores = (world.store.external_store_id, "testville-2", world.store.external_store_id)
    return [
        Customer(
            await world.order(
                external_store_id=store, dropoff_lat=SITE[0] + north, contact_name=f"At {north}", pickup_ready_at=ready
            )
        )
        for store, north in zip(stores, NORTH_OF_SITE, strict=True)
    ]


async def accepted(phone: Phone) -> RouteView:
    offer = await phone.until(lambda: next(iter(phone.session.state.offers.values()), None), 10)
    assert (offer.delivery_count, offer.package_count, len(offer.stores)) == (3, 3, 2)
    assert offer.pay.tip_cents == 900
    answer = await phone.command(
        wire.OfferAccept(cmd="accept", offer_id=offer.offer_id, offer_version=offer.offer_version)
    )
    assert answer.code == "won"
    return await phone.until(lambda: next(iter(phone.session.state.routes.values()), None))


async def test_one_check_in_two_counters_three_doors(server: Server) -> None:
    world = await build_world(server.ctx, policy=POLICY)
    upstairs = await second_store(world)
    codes = {world.store.store_id: world.store.handoff_code, upstairs.store_id: upstairs.handoff_code}
    await world.add_drivers(1)
    phone = Phone()
    async with phone.connected(server.url, world.driver_tokens[0], SITE):
        customers = await three_orders(world)
        async with following(server, customers) as streams:
            drive = Drive(phone, await accepted(phone))
            site, first, second, *doors = drive.route.stops
            assert [stop.kind for stop in drive.route.stops] == ["site", "store", "store", "door", "door", "door"]
            assert (first.name, second.name) == ("Shop", "Shop upstairs")
            assert [stop.sequence for stop in drive.route.stops] == [1, 2, 3, 4, 5, 6]
            assert [len(stop.deliveries) for stop in drive.route.stops] == [3, 2, 1, 1, 1, 1]
            assert [stop.lat for stop in doors] == sorted(stop.lat for stop in doors), "the shortest way"

            await drive.send(wire.Depart, stop_id=site.stop_id)
            await drive.check_in(site)
            # Upstairs first: the counters may be visited in any order, the doors may not be.
            await drive.pick_up(second, codes[second.store_id or UUID(int=0)])
            assert await statuses(world) == ["arrived_at_pickup", "arrived_at_pickup", "picked_up"]
            await drive.pick_up(first, codes[first.store_id or UUID(int=0)])
            for place, door in enumerate(doors):
                assert await statuses(world) == sorted(
                    ["delivered"] * place + ["enroute_to_dropoff"] + ["picked_up"] * (2 - place)
                )
                await the_others_see_nobody(server, customers, door)
                await drive.deliver(door)
            await asyncio.wait_for(asyncio.gather(*streams), 10)
        await phone.until(lambda: not phone.session.state.routes)
    assert phone.violations == []
    for customer in customers:
        sees_the_driver_on_the_own_leg_only(customer)
    await what_is_written(world)


async def statuses(world: World) -> list[str]:
    return [row["status"] for row in await world.ctx.pool.fetch("select status from delivery order by status")]


async def the_others_see_nobody(server: Server, customers: list[Customer], door: StopView) -> None:
    for customer in customers:
        state = (await server.http.get(f"/v1/track/{token_of(customer.order)}")).json()
        own = customer.order.delivery_id == door.deliveries[0].delivery_id
        assert (state["courier"] is not None) is own, state


def sees_the_driver_on_the_own_leg_only(customer: Customer) -> None:
    assert customer.statuses() == [
        "confirmed", "enroute_to_pickup", "arrived_at_pickup", "picked_up", "enroute_to_dropoff", "arrived_at_dropoff",
        "delivered",
    ]  # fmt: skip
    status, seen = "created", list[str]()
    for event in customer.events:
        if event.name == "fact":
            status = event.data["status"]
        said = json.dumps(event.data)
        if event.name in ("courier", "eta") or "Driver0" in said or (event.name != "state" and "cell" in said):
            seen.append(event.name)
            assert status in OWN_LEG, (status, event)
    assert {"courier", "eta", "fact"} <= set(seen), "and there it is seen"
    assert customer.events[-1].name == "end"


async def what_is_written(world: World) -> None:
    pool, market_id = world.ctx.pool, world.market_id
    assert await pool.fetchval("select count(*) from check_in c join stop s using (stop_id) where s.kind = 'site'") == 1
    offer = await pool.fetchrow("select status, base_cents, tip_cents from offer")
    assert offer["status"] == "completed"
    paid = await pool.fetch("select kind, sum(amount_cents)::int as cents from ledger_entry group by kind")
    cents = {row["kind"]: row["cents"] for row in paid}
    assert cents.pop("tip") == offer["tip_cents"] == 900
    assert cents.pop("base") + cents.pop("distance", 0) == offer["base_cents"]
    assert cents == {}
    async with pool.acquire() as conn:
        assert await audit.findings(conn, market_id) == []
