"""What goes wrong at the door, from the driver's report to the end of the delivery, with its alerts and its money."""

from __future__ import annotations

from uuid import UUID

import pytest

from flexlive.domain.incidents import Resolution
from flexlive.domain.reasons import ReasonCode
from flexlive.protocol.driver import CheckIn, Deliver, PickupConfirm, ProofAdd
from flexlive.protocol.merchant import DropoffVerification
from flexlive.services import incidents
from flexlive.services.answers import Answer
from flexlive.services.causes import Cause, by_system
from flexlive.services.delivery_lock import lock_delivery
from flexlive.storage.transaction import transaction
from tests.integration.ledgers import assert_sound, earned, pay
from tests.support.on_the_road import OnTheRoad, kinds, open_alerts, status, with_work
from tests.support.world import World

R = ReasonCode


async def resolve(world: World, delivery_id: UUID, resolution: Resolution, *, by: str = "ops") -> Answer:
    now = world.ctx.clock()
    cause = Cause("ops", "someone", now, now, R.OPS_DECISION) if by == "ops" else by_system(now)
    async with transaction(world.ctx.pool) as conn:
        locked = await lock_delivery(conn, world.market_id, delivery_id)
        assert locked is not None
        return await incidents.resolve(world.ctx, conn, locked, resolution, cause)


async def at_the_door(world: World, **order: object) -> tuple[OnTheRoad, UUID]:
    phone, delivery_id = await with_work(world, **order)
    await phone.pick_up()
    assert await phone.check_in("door") == "ok"
    return phone, delivery_id


async def test_nobody_there_twice_and_the_second_time_it_goes_back(world: World) -> None:
    phone, delivery_id = await at_the_door(world)
    assert await phone.report(delivery_id, R.CUSTOMER_UNAVAILABLE) == "ok"
    assert phone.last["current"] == {"resolution": "retry"}
    assert (await status(world, delivery_id), await open_alerts(world)) == ("undeliverable", ["incident"])
    assert await phone.report(delivery_id, R.CUSTOMER_UNAVAILABLE) == "illegal_transition"
    assert await phone.send(Deliver, delivery_id=delivery_id, occurred_at=world.ctx.clock()) == "illegal_transition"

    assert (await resolve(world, delivery_id, Resolution.RETRY)).ok
    assert await status(world, delivery_id) == "enroute_to_dropoff"
    assert await phone.check_in("door") == "ok"
    assert await phone.report(delivery_id, R.CUSTOMER_UNAVAILABLE) == "ok"
    assert phone.last["current"] == {"resolution": "return_to_pickup"}
    row = await world.ctx.pool.fetchrow("select status, attempts, reason_code, pay_return_cents from delivery")
    assert row is not None
    assert tuple(row.values())[:3] == ("enroute_to_return", 2, "customer_unavailable")
    back = await phone.stop("return")
    assert [delivery.return_cents for delivery in back.deliveries] == [row["pay_return_cents"]]
    assert row["pay_return_cents"] > 300
    told = await kinds(world, f"delivery:{delivery_id}")
    assert told[-4:] == [
        "delivery.enroute_to_dropoff", "delivery.arrived_at_dropoff", "delivery.undeliverable",
        "delivery.enroute_to_return",
    ]  # fmt: skip
    shown = await kinds(world, f"track:{delivery_id}")
    assert shown[-2:] == ["track.undeliverable", "track.enroute_to_return"]
    assert await earned(world) == []
    await assert_sound(world)


async def test_left_at_the_door_with_a_photo(world: World) -> None:
    phone, delivery_id = await at_the_door(
        world, undeliverable_action="leave_at_door", dropoff_verification=DropoffVerification(pincode="4711")
    )
    now = world.ctx.clock()
    assert await phone.report(delivery_id, R.CUSTOMER_UNAVAILABLE) == "ok"
    assert phone.last["current"] == {"resolution": "leave_at_door"}
    leave = {"delivery_id": delivery_id, "left_at": "behind the gate", "occurred_at": now}
    assert await phone.send(Deliver, delivery_id=delivery_id, occurred_at=now) == "invalid"
    assert await phone.send(Deliver, **leave) == "illegal_transition"
    assert phone.last["current"] == {"proofs_missing": ["photo"]}
    photo = {"delivery_id": delivery_id, "kind": "photo", "sha256": "ab" * 32, "occurred_at": now}
    assert await phone.send(ProofAdd, **photo) == "ok"
    assert await phone.send(Deliver, **leave) == "ok"
    row = await world.ctx.pool.fetchrow("select status, left_at, recipient, reason_code from delivery")
    assert row is not None
    assert tuple(row.values()) == ("delivered", "behind the gate", None, None)
    base, distance = await pay(world, delivery_id)
    assert await earned(world) == [
        ("base", base, "delivery.delivered"),
        ("distance", distance, "delivery.delivered"),
        ("tip", 300, "delivery.delivered"),
    ]
    assert await open_alerts(world) == []
    await assert_sound(world)


async def test_operators_may_let_it_be_left_but_not_where_an_age_was_asked_for(world: World) -> None:
    phone, delivery_id = await at_the_door(world)
    await phone.report(delivery_id, R.ADDRESS_PROBLEM)
    assert phone.last["current"] == {"resolution": None}
    assert (await resolve(world, delivery_id, Resolution.LEAVE_AT_DOOR)).ok
    now = world.ctx.clock()
    photo = {"delivery_id": delivery_id, "kind": "photo", "sha256": "ab" * 32, "occurred_at": now}
    assert await phone.send(ProofAdd, **photo) == "ok"
    assert await phone.send(Deliver, delivery_id=delivery_id, left_at="porch", occurred_at=now) == "ok"

    wine = DropoffVerification(min_age=21)
    phone, delivery_id = await at_the_door(world, undeliverable_action="leave_at_door", dropoff_verification=wine)
    await phone.report(delivery_id, R.SAFETY)
    assert (await resolve(world, delivery_id, Resolution.LEAVE_AT_DOOR)).code == "illegal_transition"
    assert await phone.send(Deliver, delivery_id=delivery_id, left_at="porch", occurred_at=now) == "illegal_transition"
    assert (await resolve(world, delivery_id, Resolution.RETURN_TO_PICKUP, by="system")).ok
    assert await status(world, delivery_id) == "enroute_to_return"


async def test_disposed_of_lost_and_what_may_not_be_reported(world: World) -> None:
    phone, delivery_id = await with_work(world, undeliverable_action="dispose")
    assert await phone.report(delivery_id, R.PACKAGE_DAMAGED) == "illegal_transition"
    assert await phone.report(delivery_id, R.MERCHANT_CLOSED) == "invalid"
    assert (await resolve(world, delivery_id, Resolution.LOST)).current == {"status": "confirmed"}
    await phone.pick_up()
    [stranger] = await world.add_drivers(1)
    assert await OnTheRoad(world, stranger).report(delivery_id, R.SAFETY) == "not_found"
    assert await phone.report(delivery_id, R.PACKAGE_DAMAGED) == "ok"
    assert await status(world, delivery_id) == "disposed"
    base, distance = await pay(world, delivery_id)
    disposed = [("base", base, "delivery.disposed"), ("distance", distance, "delivery.disposed")]
    assert await earned(world, delivery_id) == disposed
    assert await world.ctx.pool.fetchval("select status from route") == "completed"

    phone, lost_id = await with_work(world)
    await phone.pick_up()
    assert (await resolve(world, lost_id, Resolution.LOST)).ok
    assert await earned(world, lost_id) == []
    custodies = await world.ctx.pool.fetch("select custody from package order by custody")
    assert [row["custody"] for row in custodies] == ["disposed", "lost"]
    await assert_sound(world)


@pytest.mark.parametrize("where", ["site", "store"])
async def test_codes_are_not_guessed_for_ever(world: World, where: str) -> None:
    phone, _ = await with_work(world)
    if where == "store":
        await phone.check_in("site")
    stop, now = await phone.stop(where), world.ctx.clock()

    async def guess(code: str) -> str:
        if where == "site":
            return await phone.send(CheckIn, stop_id=stop.stop_id, method="code", at=now, code=code)
        return await phone.send(PickupConfirm, stop_id=stop.stop_id, store_code=code)

    for left in (*range(9, -1, -1), 0):
        assert await guess("nope") == "wrong_code"
        assert phone.last["current"] == {"attempts_left": left}
    right = world.site.check_in_code if where == "site" else world.store.handoff_code
    assert await guess(right) == "wrong_code"
    assert await open_alerts(world) == ["attempts_exhausted"]
    if where == "site":
        assert await phone.check_in("site") == "ok"


async def test_the_last_wrong_pin_calls_operators(world: World) -> None:
    phone, delivery_id = await at_the_door(world, dropoff_verification=DropoffVerification(pincode="4711"))
    for left in (4, 3, 2, 1, 0):
        assert await open_alerts(world) == []
        now = world.ctx.clock()
        assert await phone.send(Deliver, delivery_id=delivery_id, pincode="0000", occurred_at=now) == "wrong_code"
        assert phone.last["current"] == {"attempts_left": left}
    assert await open_alerts(world) == ["attempts_exhausted"]
    assert await phone.report(delivery_id, R.ATTEMPTS_EXHAUSTED) == "ok"
    assert await status(world, delivery_id) == "enroute_to_return"
