"""A driver on a real socket who walks a route, one step a call, as a real phone would."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from flexlive.protocol import driver as wire
from tests.support.phones import Phone, point
from tests.support.world import SITE, World

NOT_ENDED = ("pending", "arrived")


class Courier:
    """phone: connected. Each method returns when the server has answered `ok`."""

    def __init__(self, world: World, phone: Phone) -> None:
        self.world, self.phone = world, phone
        self._commands = 0

    @property
    def route(self) -> wire.RouteView:
        [route] = self.phone.session.state.routes.values()
        return route

    @property
    def next_stop(self) -> wire.StopView:
        return next(stop for stop in self.route.stops if stop.status in NOT_ENDED)

    async def win(self) -> wire.RouteView:
        """Accept the offer on the board, or the next that comes."""
        state = self.phone.session.state
        offer = await self.phone.until(lambda: next(iter(state.offers.values()), None))
        await self.say(wire.OfferAccept, "won", offer_id=offer.offer_id, offer_version=offer.offer_version)
        return await self.phone.until(lambda: next(iter(state.routes.values()), None))

    async def say(self, frame: type[Any], code: str = "ok", /, **fields: Any) -> wire.Result:
        self._commands += 1
        result = await self.phone.command(frame(cmd=f"c-{self._commands}", **fields))
        assert result.code == code, result
        return result

    async def ping(self, at: tuple[float, float]) -> None:
        await self.phone.send(wire.Location(points=(point(at),)))

    async def rest(self) -> None:
        """Read and acknowledge what has come: a phone that does not is taken for lost after 15 s."""
        await self.phone.read_quietly(0.02)
        await self.phone.acknowledge()

    async def depart(self) -> None:
        await self.say(wire.Depart, stop_id=self.next_stop.stop_id)

    async def arrive(self) -> wire.StopView:
        """Check in at the next stop."""
        stop = self.next_stop
        fix = point((stop.lat, stop.lon))
        await self.say(
            wire.CheckIn, stop_id=stop.stop_id, method="geofence", at=fix.at, point=fix, accuracy_m=fix.accuracy_m
        )
        await self.settled(lambda: self._status(stop.stop_id) not in (None, "pending"))
        return stop

    async def pick_up(self) -> None:
        """Scan and confirm at the next stop, a counter."""
        stop = self.next_stop
        await self._scan(stop, "store")
        await self.say(wire.PickupConfirm, stop_id=stop.stop_id, store_code=self.world.store.handoff_code)
        await self.settled(lambda: self._status(stop.stop_id) not in NOT_ENDED)

    async def to_the_counter(self) -> None:
        """From winning to having everything on board."""
        await self.depart()
        await self.arrive()
        while self.next_stop.kind == "store":
            await self.pick_up()

    async def deliver(self, **fields: Any) -> None:
        stop = self.next_stop
        [delivery] = stop.deliveries
        await self.say(wire.Deliver, delivery_id=delivery.delivery_id, occurred_at=datetime.now(UTC), **fields)
        await self.settled(lambda: self._status(stop.stop_id) not in NOT_ENDED)

    async def give_up(self, reason_code: str) -> None:
        """An incident at, or on the way to, the next door."""
        [delivery] = self.next_stop.deliveries
        before = self.route.version
        await self.say(wire.IncidentReport, delivery_id=delivery.delivery_id, reason_code=reason_code)
        await self.settled(lambda: self.route.version > before)

    async def bring_back(self) -> None:
        """At the next stop, a counter that takes it back."""
        stop = await self.arrive()
        await self._scan(stop, "held")
        await self.say(wire.ReturnConfirm, stop_id=stop.stop_id, store_code=self.world.store.handoff_code)

    async def settled(self, happened: Any) -> None:
        await self.phone.until(happened)

    async def _scan(self, stop: wire.StopView, custody: str) -> None:
        for delivery in stop.deliveries:
            for package in delivery.packages:
                if package.custody == custody:
                    now = datetime.now(UTC)
                    await self.say(wire.Scan, stop_id=stop.stop_id, barcode=package.barcode, occurred_at=now)

    def _status(self, stop_id: UUID) -> str | None:
        for route in self.phone.session.state.routes.values():
            for stop in route.stops:
                if stop.stop_id == stop_id:
                    return stop.status
        return "done"


@asynccontextmanager
async def on_the_road(url: str, world: World, number: int = 0) -> AsyncIterator[Courier]:
    """The world's driver of that number, connected and standing at the site."""
    async with Phone(f"phone-{uuid4().hex[:8]}").connected(url, world.driver_tokens[number], SITE) as phone:
        yield Courier(world, phone)
