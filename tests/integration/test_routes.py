"""One driver's route from the accepted offer to the door, command by command, with what can be refused on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec
import pytest

from flexlive.protocol.driver import CheckIn, Deliver, Depart, PickupConfirm, Point, ProofAdd, Scan
from flexlive.protocol.merchant import DropoffVerification, PackageRequest
from flexlive.realtime.presence import Position
from flexlive.services import check_in, commands, offers
from flexlive.services.drivers import DriverPrincipal, SnapshotAsk, snapshots
from tests.support.dispatch import dispatch, open_offer_ids
from tests.support.world import SITE, World, accept_item

DOOR = (SITE[0] + 0.018, SITE[1])


@dataclass
class Phone:
    """A driver sending commands; every answer is kept."""

    world: World
    driver: DriverPrincipal
    count: int = 0
    answers: list[dict[str, Any]] = field(default_factory=list)

    async def send(self, frame: type, /, **fields: Any) -> str:
        self.count += 1
        command = frame(cmd=f"c-{self.count}", **fields)
        body = await commands.execute(self.world.ctx, self.driver, "phone", command)
        assert await commands.execute(self.world.ctx, self.driver, "phone", command) == body
        self.answers.append(msgspec.json.decode(body))
        return self.answers[-1]["code"]

    async def route(self) -> Any:
        snapshot = await snapshots(self.world.ctx, self.world.market_id, [SnapshotAsk(self.driver.driver_id)])
        [route] = snapshot[self.driver.driver_id].routes
        return route

    async def check_in(self, stop_id: UUID, at: tuple[float, float]) -> str:
        now = self.world.ctx.clock()
        point = Point(lat=at[0], lon=at[1], at=now, accuracy_m=5)
        return await self.send(CheckIn, stop_id=stop_id, method="geofence", at=now, point=point)


async def winning_phone(world: World, **order: Any) -> Phone:
    [driver] = await world.add_drivers(1)
    await world.order(**order)
    await dispatch(world.ctx, world.market_id)
    [offer_id] = await open_offer_ids(world.ctx, world.market_id)
    body = await offers.accept(world.ctx, accept_item(driver, offer_id))
    assert msgspec.json.decode(body)["code"] == "won"
    return Phone(world, driver)


async def status(world: World) -> str:
    return await world.ctx.pool.fetchval("select status from delivery")


async def test_the_whole_way(world: World) -> None:
    phone = await winning_phone(
        world,
        packages=(PackageRequest(), PackageRequest(weight_grams=2000)),
        dropoff_verification=DropoffVerification(pincode="4711", photo=True),
    )
    site, store, door = (await phone.route()).stops
    now = world.ctx.clock()

    assert await phone.send(Depart, stop_id=site.stop_id) == "ok"
    assert await status(world) == "enroute_to_pickup"
    assert await phone.check_in(site.stop_id, DOOR) == "out_of_range"
    assert await phone.check_in(site.stop_id, SITE) == "ok"
    assert await status(world) == "arrived_at_pickup"

    barcodes = [package.barcode for package in store.deliveries[0].packages]
    assert await phone.send(Scan, stop_id=store.stop_id, barcode="NOT-MINE", occurred_at=now) == "wrong_package"
    assert await phone.send(Scan, stop_id=store.stop_id, barcode=barcodes[0], occurred_at=now) == "ok"
    code = world.store.handoff_code
    assert await phone.send(PickupConfirm, stop_id=store.stop_id, store_code=code) == "wrong_package"
    assert await phone.send(Scan, stop_id=store.stop_id, barcode=barcodes[1], occurred_at=now) == "ok"
    assert await phone.send(PickupConfirm, stop_id=store.stop_id, store_code="nope") == "wrong_code"
    assert await phone.send(PickupConfirm, stop_id=store.stop_id, store_code=code) == "ok"
    # The only door is the next stop at once.
    assert await status(world) == "enroute_to_dropoff"

    delivery_id = door.deliveries[0].delivery_id
    assert await phone.send(Deliver, delivery_id=delivery_id, pincode="4711", occurred_at=now) == "illegal_transition"
    assert await phone.check_in(door.stop_id, DOOR) == "ok"
    assert await phone.send(Deliver, delivery_id=delivery_id, pincode="0000", occurred_at=now) == "wrong_code"
    assert phone.answers[-1]["current"] == {"attempts_left": 4}
    assert await phone.send(Deliver, delivery_id=delivery_id, pincode="4711", occurred_at=now) == "illegal_transition"
    assert phone.answers[-1]["current"] == {"proofs_missing": ["photo"]}
    photo = {"delivery_id": delivery_id, "kind": "photo", "sha256": "ab" * 32, "occurred_at": now}
    assert await phone.send(ProofAdd, **photo) == "ok"
    assert await phone.send(Deliver, delivery_id=delivery_id, occurred_at=now) == "ok"
    assert await status(world) == "delivered"

    assert await world.ctx.pool.fetchval("select array_agg(distinct custody) from package") == ["delivered"]
    assert await world.ctx.pool.fetchval("select status from route") == "completed"
    assert await world.ctx.pool.fetchval("select status from offer") == "completed"
    assert await world.ctx.pool.fetchval("select count(*) from slot where active") == 0
    entries = await world.ctx.pool.fetch(
        "select l.kind, l.amount_cents, e.kind as earned_by from ledger_entry l"
        " join event e on e.market_id = l.market_id and e.event_id = l.event_id order by l.kind"
    )
    assert [(row["kind"], row["earned_by"]) for row in entries] == [
        ("base", "delivery.delivered"),
        ("distance", "delivery.delivered"),
        ("tip", "delivery.delivered"),
    ]
    base, distance, tip = (row["amount_cents"] for row in entries)
    paid = await world.ctx.pool.fetchrow("select base_cents, distance_cents from offer")
    assert (base + distance, distance, tip) == (paid["base_cents"], paid["distance_cents"], 300)
    shown = await world.ctx.pool.fetch("select kind from event where stream like 'track:%' order by seq")
    assert [row["kind"].removeprefix("track.") for row in shown] == [
        "created", "confirmed", "enroute_to_pickup", "arrived_at_pickup", "picked_up", "enroute_to_dropoff",
        "arrived_at_dropoff", "delivered",
    ]  # fmt: skip


async def test_the_route_told_is_the_route_stored(world: World) -> None:
    """The winner's route is built from the rows the accept locked, not read back: it must be the same all the same."""
    phone = await winning_phone(world, packages=(PackageRequest(barcode="B"), PackageRequest(barcode="A")), tip_cents=0)
    told = await world.ctx.pool.fetchval("select data from event where kind = 'route.created'")
    assert told["route"] == msgspec.json.decode(msgspec.json.encode(await phone.route()))


async def test_a_missing_package_is_told_with_its_reason(world: World) -> None:
    phone = await winning_phone(world, packages=(PackageRequest(), PackageRequest()))
    site, store, _ = (await phone.route()).stops
    await phone.check_in(site.stop_id, SITE)
    there, gone = (package.barcode for package in store.deliveries[0].packages)
    await phone.send(Scan, stop_id=store.stop_id, barcode=there, occurred_at=world.ctx.clock())
    confirm = {"stop_id": store.stop_id, "store_code": world.store.handoff_code}
    nonsense = ({"barcode": gone, "reason": "because"},)
    assert await phone.send(PickupConfirm, **confirm, missing=_missing(nonsense)) == "invalid"
    known = ({"barcode": gone, "reason": "item_missing"},)
    assert await phone.send(PickupConfirm, **confirm, missing=_missing(known)) == "ok"
    rows = await world.ctx.pool.fetch("select custody, missing_reason from package order by custody")
    assert [(row["custody"], row["missing_reason"]) for row in rows] == [("held", None), ("missing", "item_missing")]


def _missing(rows: tuple[dict[str, str], ...]) -> Any:
    from flexlive.protocol.driver import Missing

    return msgspec.convert(rows, tuple[Missing, ...])


async def test_another_drivers_stop_does_not_exist(world: World) -> None:
    phone = await winning_phone(world)
    site, *_ = (await phone.route()).stops
    [stranger] = await world.add_drivers(1)
    other = Phone(world, stranger)
    assert await other.send(Depart, stop_id=site.stop_id) == "not_found"
    assert await other.check_in(site.stop_id, SITE) == "not_found"
    assert await status(world) == "confirmed"


async def test_five_wrong_pins_and_no_more(world: World) -> None:
    phone = await winning_phone(world, dropoff_verification=DropoffVerification(pincode="4711"))
    site, store, door = (await phone.route()).stops
    now = world.ctx.clock()
    await phone.check_in(site.stop_id, SITE)
    barcode = store.deliveries[0].packages[0].barcode
    await phone.send(Scan, stop_id=store.stop_id, barcode=barcode, occurred_at=now)
    await phone.send(PickupConfirm, stop_id=store.stop_id, store_code=world.store.handoff_code)
    await phone.check_in(door.stop_id, DOOR)
    delivery_id = door.deliveries[0].delivery_id
    for left in (4, 3, 2, 1, 0, 0):
        assert await phone.send(Deliver, delivery_id=delivery_id, pincode="0000", occurred_at=now) == "wrong_code"
        assert phone.answers[-1]["current"]["attempts_left"] == left
    assert await phone.send(Deliver, delivery_id=delivery_id, pincode="4711", occurred_at=now) == "wrong_code"
    assert await status(world) == "arrived_at_dropoff"


@pytest.mark.parametrize("said", [True, False])
async def test_a_crossing_arrives_once_said_or_not(world: World, said: bool) -> None:
    phone = await winning_phone(world)
    site, store, door = (await phone.route()).stops
    await phone.check_in(site.stop_id, SITE)
    barcode = store.deliveries[0].packages[0].barcode
    await phone.send(Scan, stop_id=store.stop_id, barcode=barcode, occurred_at=world.ctx.clock())
    await phone.send(PickupConfirm, stop_id=store.stop_id, store_code=world.store.handoff_code)
    if said:
        await phone.check_in(door.stop_id, DOOR)
    now = world.ctx.clock()
    position = Position(*DOOR, 5.0, now, now)
    assert await check_in.cross(world.ctx, phone.driver, door.stop_id, position) is not said
    assert await check_in.cross(world.ctx, phone.driver, door.stop_id, position) is False
    assert await status(world) == "arrived_at_dropoff"
    assert await world.ctx.pool.fetchval("select count(*) from event where kind = 'delivery.arrived_at_dropoff'") == 1
    method = await world.ctx.pool.fetchval("select method from check_in where stop_id = $1", door.stop_id)
    assert method == ("geofence" if said else "crossing")
