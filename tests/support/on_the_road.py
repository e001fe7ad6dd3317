"""A driver who has work and can be taken to any stage of it with a word; and an operator who steps in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import msgspec

from flexlive.domain.ids import DEPLOYMENT
from flexlive.domain.reasons import ReasonCode
from flexlive.protocol import ops_actions as wire
from flexlive.protocol.driver import CheckIn, Command, IncidentReport, PickupConfirm, Point, Scan
from flexlive.protocol.views import RouteView, StopView
from flexlive.services import commands, offers
from flexlive.services.drivers import DriverPrincipal, SnapshotAsk, snapshots
from flexlive.services.ops_actions import OpsCall
from flexlive.services.tokens import OpsPrincipal
from flexlive.storage import audit
from tests.support.dispatch import dispatch
from tests.support.world import World, accept_item


@dataclass
class OnTheRoad:
    """One driver's phone, without a socket."""

    world: World
    driver: DriverPrincipal
    last: dict[str, Any] = field(default_factory=dict)

    async def send(self, frame: type[Command], /, **fields: Any) -> str:
        """The answer's code; the whole answer is `last`."""
        command = frame(cmd=uuid4().hex, **fields)
        self.last = msgspec.json.decode(await commands.execute(self.world.ctx, self.driver, "phone", command))
        return self.last["code"]

    async def routes(self) -> tuple[RouteView, ...]:
        found = await snapshots(self.world.ctx, self.world.market_id, [SnapshotAsk(self.driver.driver_id)])
        return found[self.driver.driver_id].routes

    async def stop(self, kind: str) -> StopView:
        """The first stop of that kind that has not ended."""
        open_stops = [
            stop for route in await self.routes() for stop in route.stops if stop.status in ("pending", "arrived")
        ]
        return next(stop for stop in open_stops if stop.kind == kind)

    async def check_in(self, kind: str) -> str:
        stop, now = await self.stop(kind), self.world.ctx.clock()
        point = Point(lat=stop.lat, lon=stop.lon, at=now, accuracy_m=5)
        return await self.send(CheckIn, stop_id=stop.stop_id, method="geofence", at=now, point=point)

    async def pick_up(self) -> None:
        """From wherever before: at the site, everything scanned and in the car."""
        assert await self.check_in("site") == "ok"
        store = await self.stop("store")
        for delivery in store.deliveries:
            for package in delivery.packages:
                now = self.world.ctx.clock()
                assert await self.send(Scan, stop_id=store.stop_id, barcode=package.barcode, occurred_at=now) == "ok"
        assert await self.send(PickupConfirm, stop_id=store.stop_id, store_code=self.world.store.handoff_code) == "ok"

    async def report(self, delivery_id: UUID, reason: ReasonCode) -> str:
        return await self.send(IncidentReport, delivery_id=delivery_id, reason_code=reason.value)


@dataclass
class Operator:
    """Asks the services as the HTTP handlers do."""

    world: World
    principal: OpsPrincipal = field(default_factory=lambda: OpsPrincipal(uuid4(), DEPLOYMENT))

    def call(
        self,
        action: str,
        subject: tuple[wire.SubjectKind, UUID],
        body: wire.Reasoned | None = None,
        key: str | None = None,
    ) -> OpsCall:
        return OpsCall(
            ops=self.principal,
            market_id=self.world.market_id,
            action=action,
            subject_kind=subject[0],
            subject_id=subject[1],
            body=body or wire.Reasoned(reason_code=ReasonCode.OPS_DECISION, note="because"),
            idempotency_key=key,
        )


async def with_work(world: World, **order: Any) -> tuple[OnTheRoad, UUID]:
    """A new driver who has just won a new order; the driver and the delivery."""
    [driver] = await world.add_drivers(1)
    created = await world.order(**order)
    await dispatch(world.ctx, world.market_id)
    offer_id = await world.ctx.pool.fetchval(
        "select offer_id from offer_delivery where delivery_id = $1 and active", created.delivery_id
    )
    body = await offers.accept(world.ctx, accept_item(driver, offer_id))
    assert msgspec.json.decode(body)["code"] == "won"
    return OnTheRoad(world, driver), created.delivery_id


async def status(world: World, delivery_id: UUID) -> str:
    return await world.ctx.pool.fetchval("select status from delivery where delivery_id = $1", delivery_id)


async def kinds(world: World, stream: str) -> list[str]:
    """What happened in a stream, in order."""
    rows = await world.ctx.pool.fetch("select kind from event where stream = $1 order by seq", stream)
    return [row["kind"] for row in rows]


async def open_alerts(world: World) -> list[str]:
    rows = await world.ctx.pool.fetch("select kind from alert where resolved_at is null order by alert_id")
    return [row["kind"] for row in rows]


async def audit_findings(world: World) -> list[str]:
    """What the audit has to say of the world; nothing when the books are right."""
    async with world.ctx.pool.acquire() as conn:
        return [str(finding) for finding in await audit.findings(conn, world.market_id)]
