"""One run: a few deliveries in a lane, commands of everybody about them, and the laws checked after each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from flexlive.domain.actors import ActorType
from flexlive.domain.deliveries import CUSTODY, TERMINAL
from flexlive.domain.errors import FlexliveError
from flexlive.protocol.driver import Command, Deliver, Scan
from flexlive.protocol.merchant import DeliveryCreated, DropoffVerification, PackageRequest
from flexlive.services import commands
from flexlive.services.context import Context
from flexlive.services.drivers import DriverPrincipal
from tests.model.guards import guarded
from tests.model.lanes import DOORS, Lane
from tests.model.laws import check
from tests.model.observation import Observation, observe


@dataclass(frozen=True)
class Plan:
    """What an order asks for, as drawn."""

    store: int
    packages: int
    pincode: bool
    photo: bool
    undeliverable_action: str


@dataclass(frozen=True)
class Order:
    created: DeliveryCreated
    plan: Plan

    @property
    def id(self) -> str:
        return str(self.created.delivery_id)

    @property
    def pincode(self) -> str:
        return "4711"


@dataclass
class Run:
    """waits: counters that were done with after the check-in. refused: (delivery, driver) given back or declined.
    now: what the database said last. told: all events of the deliveries so far. scanned: barcodes each driver has
    read since the delivery became that driver's; read: by whom at all. photographed, proved: deliveries with a photo,
    with a right PIN. paid: what a delivery was worth when a driver got it. log: what was done, for a failure's note."""

    ctx: Context
    lane: Lane
    orders: list[Order] = field(default_factory=list)
    sent: list[tuple[int, Command, bytes]] = field(default_factory=list)
    told: list[Mapping[str, Any]] = field(default_factory=list)
    scanned: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    paid: dict[str, list[tuple[str, int, int]]] = field(default_factory=dict)
    adjusted: list[tuple[str, str, int]] = field(default_factory=list)
    read: set[tuple[str, str]] = field(default_factory=set)
    photographed: set[str] = field(default_factory=set)
    proved: set[str] = field(default_factory=set)
    waits: int = 0
    refused: set[tuple[str, str]] = field(default_factory=set)
    log: list[str] = field(default_factory=list)
    started_at: datetime = field(init=False)
    now: Observation = field(init=False)

    async def start(self, plans: list[Plan]) -> None:
        """Place the orders."""
        self.started_at = self.ctx.clock()
        for place, plan in enumerate(plans):
            created = await self.lane.world.order(
                external_store_id=self.lane.stores[plan.store].external_store_id,
                dropoff_lat=DOORS[place][0],
                dropoff_lon=DOORS[place][1],
                packages=(PackageRequest(),) * plan.packages,
                dropoff_verification=DropoffVerification(pincode="4711" if plan.pincode else False, photo=plan.photo),
                undeliverable_action=plan.undeliverable_action,
                tip_cents=100 * place,
            )
            self.orders.append(Order(created, plan))
        self.now = await self._look(None)
        self.told.extend(self.now.events)

    async def driver(self, place: int, frame: type, /, *, again: bool = False, **fields: Any) -> Mapping[str, Any]:
        """One command of one driver; again: sent twice, as after a lost answer."""
        command = frame(cmd=f"{self.orders[0].id[-20:]}-{len(self.sent)}", **fields)
        principal = self.driver_at(place)
        if isinstance(command, Deliver) and command.pincode == "4711":
            # Right is right, also when something else is missing still.
            at_door = self.now.deliveries[str(command.delivery_id)]
            if at_door["driver_id"] == str(principal.driver_id) and at_door["status"] == "arrived_at_dropoff":
                self.proved.add(str(command.delivery_id))
        body = await commands.execute(self.ctx, principal, "phone", command)
        if again:
            assert await commands.execute(self.ctx, principal, "phone", command) == body
        self.sent.append((place, command, body))
        before, answer = self.now, msgspec.json.decode(body)
        assert answer["cmd"] == command.cmd
        if answer["ok"] and isinstance(command, Scan):
            self.read.add((str(principal.driver_id), command.barcode))
        await self._checked(ActorType.DRIVER, f"{place} {command} → {answer['code']}", answer["ok"], principal)
        guarded(self, command, before)
        if answer["ok"] and isinstance(command, Scan):
            for (delivery_id, driver_id), barcodes in self.scanned.items():
                packages = self.now.deliveries[delivery_id]["packages"]
                if driver_id == str(principal.driver_id) and command.barcode in {each[0] for each in packages}:
                    barcodes.add(command.barcode)
        return answer

    async def repeat(self, which: int) -> None:
        """A command of long ago once more: the same answer, and nothing happens."""
        place, command, body = self.sent[which % len(self.sent)]
        assert await commands.execute(self.ctx, self.driver_at(place), "phone", command) == body
        await self._checked(ActorType.DRIVER, f"{place} again {command}", False, self.driver_at(place))

    async def staff(self, actor: ActorType, name: str, work: Callable[[], Awaitable[Any]]) -> bool:
        """A use case of somebody without a phone; False when it was refused."""
        try:
            await work()
        except FlexliveError as error:
            await self._checked(actor, f"{name} → {error.code.value}", False, None)
            return False
        await self._checked(actor, f"{name} → done", True, None)
        return True

    def driver_at(self, place: int) -> DriverPrincipal:
        return self.lane.drivers[place % len(self.lane.drivers)]

    def place_of(self, driver_id: str) -> int:
        return next(i for i, each in enumerate(self.lane.drivers) if str(each.driver_id) == driver_id)

    def number(self, delivery_id: UUID) -> int:
        return next(i for i, order in enumerate(self.orders) if order.created.delivery_id == delivery_id)

    def open(self) -> list[Mapping[str, Any]]:
        """Deliveries that have not ended."""
        return [each for each in self.now.deliveries.values() if each["status"] not in TERMINAL]

    def order(self, delivery_id: str) -> Order:
        return next(order for order in self.orders if order.id == delivery_id)

    async def _checked(self, actor: ActorType, what: str, ok: bool, principal: DriverPrincipal | None) -> None:
        self.log.append(what)
        before, after = self.now, await self._look(self.now)
        check(before, after, actor, None if principal is None else str(principal.driver_id), ok=ok)
        self._remember(before, after)
        self.now = after
        self.told.extend(after.events)

    def _remember(self, before: Observation, after: Observation) -> None:
        self.waits += _waits(before, after)
        for offer_id, offer in after.offers.items():
            if offer["status"] == "accepted" and before.offers[offer_id]["status"] == "open":
                won = [after.deliveries[each] for each in offer["delivery_ids"]]
                again = {(each["delivery_id"], offer["driver_id"]) for each in won} & self.refused
                assert not again, "offered again to a driver who gave it back"
                assert offer["base_cents"] == sum(each["pay_base_cents"] + each["pay_distance_cents"] for each in won)
        for delivery_id, now in after.deliveries.items():
            was, driver_id = before.deliveries[delivery_id], now["driver_id"]
            if now["status"] == "created" and was["driver_id"] is not None:
                self.refused.add((delivery_id, was["driver_id"]))
            if driver_id is not None and driver_id != was["driver_id"]:
                terms = (driver_id, now["pay_base_cents"], now["pay_distance_cents"])
                self.paid.setdefault(delivery_id, []).append(terms)
                if was["status"] not in CUSTODY:
                    self.scanned[delivery_id, driver_id] = set()
                else:
                    held = {(driver_id, package[0]) for package in now["packages"] if package[1] == "held"}
                    assert held <= self.read, "handed over without a look"
            if now["status"] != was["status"] and now["status"] in CUSTODY and was["status"] not in CUSTODY:
                held = {package[0] for package in now["packages"] if package[1] == "held"}
                assert held <= self.scanned[delivery_id, driver_id], "taken along without a look"

    async def _look(self, last: Observation | None) -> Observation:
        return await observe(
            self.ctx.pool,
            self.lane.market_id,
            [order.created.delivery_id for order in self.orders],
            [driver.driver_id for driver in self.lane.drivers],
            self.started_at,
            last,
        )


def _waits(before: Observation, after: Observation) -> int:
    """Counters where something waited to be picked up and that are over now: left with it, or it was cancelled."""
    over: set[str] = set()
    at = {delivery_id: was["status"] for delivery_id, was in before.deliveries.items()}
    for event in after.events:
        delivery_id = event["stream"].removeprefix("delivery:")
        if at[delivery_id] == "arrived_at_pickup" and event["status"] in ("picked_up", "cancelled"):
            over.add(delivery_id)
        at[delivery_id] = event["status"] or at[delivery_id]
    ended = {stop["stop_id"] for stop in after.stops() if stop["status"] in ("done", "skipped")}
    return sum(
        stop["kind"] == "store" and stop["stop_id"] in ended and bool(over & set(stop["delivery_ids"]))
        for stop in before.stops()
        if stop["status"] not in ("done", "skipped")
    )
