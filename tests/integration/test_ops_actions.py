"""Operators step in: each action once, with its reason on record, and nothing where it may not be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.domain.reasons import ReasonCode
from flexlive.protocol import ops_actions as wire
from flexlive.protocol.driver import Deliver, Scan
from flexlive.services import (
    alerts,
    assignments,
    deliveries,
    offers,
    order_ends,
    overrides,
    resolutions,
    transfers,
)
from tests.support.dispatch import dispatch, open_offer_ids
from tests.support.on_the_road import OnTheRoad, Operator, audit_findings, kinds, open_alerts, status, with_work
from tests.support.world import World, accept_item

WHY: dict[str, Any] = {"reason_code": ReasonCode.OPS_DECISION, "note": "n"}
R = wire.Reasoned(**WHY)


@pytest.fixture(autouse=True)
async def _books_are_right(world: World) -> AsyncIterator[None]:
    """Whatever a test did, the audit finds nothing."""
    yield
    assert await audit_findings(world) == []


@pytest.fixture
def ops(world: World) -> Operator:
    return Operator(world)


def code(caught: pytest.ExceptionInfo[FlexliveError]) -> ErrorCode:
    return caught.value.code


async def earned(world: World) -> dict[str, int]:
    rows = await world.ctx.pool.fetch("select kind, sum(amount_cents)::int as cents from ledger_entry group by kind")
    return {row["kind"]: row["cents"] for row in rows}


async def test_assign_makes_a_route_without_an_offer_and_pays_by_the_rule(world: World, ops: Operator) -> None:
    delivery_id = (await world.order()).delivery_id
    other = (await world.order()).delivery_id
    [driver] = await world.add_drivers(1)
    await dispatch(world.ctx, world.market_id)
    assert len(await open_offer_ids(world.ctx, world.market_id)) >= 1
    call = ops.call("assign", ("delivery", delivery_id), key="k-1")
    body = wire.Assign(driver_id=driver.driver_id, **WHY)
    first, second = await asyncio.gather(*(assignments.assign(world.ctx, call, body) for _ in range(2)))
    assert first == second
    assert first.result["driver_id"] == str(driver.driver_id)
    assert await status(world, delivery_id) == "confirmed"
    row = await world.ctx.pool.fetchrow(
        "select pay_base_cents + pay_distance_cents as base, route_id from delivery where delivery_id = $1", delivery_id
    )
    assert row is not None
    assert row["base"] == first.result["base_cents"] >= 700
    offer = await world.ctx.pool.fetchrow(
        "select o.status from offer o join offer_delivery od using (market_id, offer_id) where delivery_id = $1",
        delivery_id,
    )
    assert offer is not None
    assert offer["status"] == "withdrawn"
    assert await world.ctx.pool.fetchval("select count(*) from ops_action") == 1

    phone = OnTheRoad(world, driver)
    await phone.pick_up()
    assert await phone.check_in("door") == "ok"
    assert await phone.send(Deliver, delivery_id=delivery_id, occurred_at=world.ctx.clock()) == "ok"
    paid = await earned(world)
    assert paid["base"] + paid["distance"] == row["base"]
    assert paid["tip"] == 300

    # The same driver again, with a pay of the operator's own; nobody but an eligible one.
    again = wire.Assign(driver_id=driver.driver_id, base_cents=50, **WHY)
    await assignments.assign(world.ctx, ops.call("assign", ("delivery", other)), again)
    assert await world.ctx.pool.fetchval(
        "select pay_base_cents + pay_distance_cents from delivery where delivery_id = $1", other
    ) == 50  # fmt: skip
    third = (await world.order()).delivery_id
    with pytest.raises(FlexliveError) as full:
        await assignments.assign(world.ctx, ops.call("assign", ("delivery", third)), again)
    assert code(full) is ErrorCode.SLOTS_FULL
    [offline] = await world.add_drivers(1, online=False)
    with pytest.raises(FlexliveError) as refused:
        await assignments.assign(
            world.ctx, ops.call("assign", ("delivery", third)), wire.Assign(driver_id=offline.driver_id, **WHY)
        )
    assert (code(refused), refused.value.fields["reason"]) == (ErrorCode.NOT_ELIGIBLE, "offline")


async def test_a_key_answers_once_and_means_one_thing(world: World, ops: Operator) -> None:
    delivery_id = (await world.order()).delivery_id
    first = await resolutions.cancel(world.ctx, ops.call("cancel", ("delivery", delivery_id), R, "same"))
    again = await resolutions.cancel(world.ctx, ops.call("cancel", ("delivery", delivery_id), R, "same"))
    assert first == again
    with pytest.raises(FlexliveError) as conflict:
        await assignments.reoffer(world.ctx, ops.call("reoffer", ("delivery", delivery_id), R, "same"))
    assert code(conflict) is ErrorCode.CONFLICT
    # Another operator's key is another key; cancelling what is cancelled changes nothing, and is on record.
    await resolutions.cancel(world.ctx, Operator(world).call("cancel", ("delivery", delivery_id), R, "same"))
    assert (await kinds(world, f"delivery:{delivery_id}")).count("delivery.cancelled") == 1
    assert await world.ctx.pool.fetchval("select count(*) from ops_action") == 2
    with pytest.raises(FlexliveError) as unknown:
        await resolutions.cancel(world.ctx, ops.call("cancel", ("delivery", uuid4()), R, "gone"))
    assert code(unknown) is ErrorCode.NOT_FOUND
    # What was refused is not on record, and its key is free.
    assert await world.ctx.pool.fetchval("select count(*) from ops_action") == 2


async def test_unassign_and_reoffer(world: World, ops: Operator) -> None:
    phone, delivery_id = await with_work(world)
    with pytest.raises(FlexliveError) as early:
        await assignments.reoffer(world.ctx, ops.call("reoffer", ("delivery", delivery_id)))
    assert code(early) is ErrorCode.ILLEGAL_TRANSITION
    assert early.value.fields == {"delivery_status": "confirmed"}
    done = await assignments.unassign(world.ctx, ops.call("unassign", ("delivery", delivery_id)))
    assert done.result["driver_id"] == str(phone.driver.driver_id)
    assert await status(world, delivery_id) == "created"
    assert await phone.routes() == ()
    with pytest.raises(FlexliveError) as late:
        await assignments.unassign(world.ctx, ops.call("unassign", ("delivery", delivery_id)))
    assert code(late) is ErrorCode.ILLEGAL_TRANSITION

    await world.add_drivers(1)
    later = world.ctx.clock() + timedelta(seconds=30)
    await dispatch(world.ctx, world.market_id, later)
    [offer_id] = await open_offer_ids(world.ctx, world.market_id)
    opened = await world.ctx.pool.fetchrow(
        "select data from event where stream = $1 and kind = 'offer.opened'", f"offer:{offer_id}"
    )
    assert opened is not None
    assert opened["data"]["excluded"] == [str(phone.driver.driver_id)]
    again = await assignments.reoffer(world.ctx, ops.call("reoffer", ("delivery", delivery_id)))
    assert again.result == {"offer_id": str(offer_id)}
    assert await kinds(world, f"offer:{offer_id}") == ["offer.opened", "offer.withdrawn"]


async def test_cancel_by_operator_merchant_and_store(world: World, ops: Operator) -> None:
    phone, delivery_id = await with_work(world)
    assert await phone.check_in("site") == "ok"
    await resolutions.cancel(world.ctx, ops.call("cancel", ("delivery", delivery_id)))
    assert await status(world, delivery_id) == "cancelled"
    assert (await earned(world)).keys() == {"partial"}
    assert await phone.routes() == ()
    inbox = await world.ctx.pool.fetch("select kind, body from driver_inbox")
    assert [(row["kind"], row["body"]["reason_code"]) for row in inbox] == [("delivery.cancelled", "ops_decision")]

    mine = (await world.order()).delivery_id
    ctx, market_id, merchant = world.ctx, world.market_id, world.merchant
    first = await order_ends.cancel(ctx, merchant, market_id, mine, "customer_cancelled")
    again = await order_ends.cancel(ctx, merchant, market_id, mine, "merchant_cancelled")
    assert first == again
    assert (first.status, first.reason_code) == ("cancelled", "customer_cancelled")
    foreign = type(merchant)(uuid4(), merchant.scopes, merchant.link_secret)
    with pytest.raises(FlexliveError) as hidden:
        await order_ends.cancel(ctx, foreign, market_id, mine, "merchant_cancelled")
    assert code(hidden) is ErrorCode.NOT_FOUND

    short = (await world.order()).delivery_id
    for _ in range(2):
        said = await deliveries.set_readiness(ctx, merchant, market_id, short, "unavailable")
        assert (said.status, said.readiness) == ("cancelled", "unavailable")
    row = await ctx.pool.fetchrow(
        "select actor_type, reason_code from event where stream = $1 and kind = 'delivery.cancelled'",
        f"delivery:{short}",
    )
    assert row is not None
    assert (row["actor_type"], row["reason_code"]) == ("store", "item_missing")


async def test_what_is_in_the_car_is_never_cancelled_but_may_be_lost(world: World, ops: Operator) -> None:
    phone, delivery_id = await with_work(world)
    with pytest.raises(FlexliveError) as early:
        await resolutions.lose(world.ctx, ops.call("lost", ("delivery", delivery_id)))
    assert code(early) is ErrorCode.ILLEGAL_TRANSITION
    await phone.pick_up()
    for refused in (
        resolutions.cancel(world.ctx, ops.call("cancel", ("delivery", delivery_id))),
        order_ends.cancel(world.ctx, world.merchant, world.market_id, delivery_id, "other"),
    ):
        with pytest.raises(FlexliveError) as late:
            await refused
        assert code(late) is ErrorCode.ILLEGAL_TRANSITION
        assert late.value.fields["delivery_status"] == "enroute_to_dropoff"
    lost = await resolutions.lose(world.ctx, ops.call("lost", ("delivery", delivery_id)))
    assert lost.result == {"resolution": "lost", "status": "lost"}
    assert await world.ctx.pool.fetchval("select array_agg(distinct custody) from package") == ["lost"]
    assert await world.ctx.pool.fetchval("select status from route") != "active"
    assert await earned(world) == {}


@pytest.mark.parametrize(
    ("resolution", "after"),
    [
        ("retry", "enroute_to_dropoff"),
        ("return_to_pickup", "enroute_to_return"),
        ("dispose", "disposed"),
        ("leave_at_door", "undeliverable"),
    ],
)
async def test_an_incident_is_decided(world: World, ops: Operator, resolution: Any, after: str) -> None:
    phone, delivery_id = await with_work(world)
    await phone.pick_up()
    body = wire.ResolveIncident(resolution=resolution, **WHY)
    with pytest.raises(FlexliveError) as early:
        await resolutions.resolve_incident(world.ctx, ops.call("resolve", ("delivery", delivery_id)), body)
    assert code(early) is ErrorCode.ILLEGAL_TRANSITION
    assert await phone.report(delivery_id, ReasonCode.ACCESS_PROBLEM) == "ok"
    assert await open_alerts(world) == ["incident"]
    [alert] = (await alerts.page(world.ctx, world.market_id, open_only=True, kind=None, before=None)).alerts
    with pytest.raises(FlexliveError) as undecided:
        await overrides.resolve_alert(world.ctx, ops.call("resolve_alert", ("alert", alert.alert_id)))
    assert code(undecided) is ErrorCode.ILLEGAL_TRANSITION
    done = await resolutions.resolve_incident(world.ctx, ops.call("resolve", ("delivery", delivery_id)), body)
    assert done.result["status"] == after
    assert await status(world, delivery_id) == after
    assert await open_alerts(world) == []
    ended = await world.ctx.pool.fetchrow("select resolved_by, resolution from alert")
    assert ended is not None
    assert (ended["resolved_by"], ended["resolution"]) == (str(ops.principal.subject_id), resolution)


async def test_a_second_driver_takes_over_what_is_on_board(world: World, ops: Operator) -> None:
    phone, delivery_id = await with_work(world)
    [helper] = await world.add_drivers(1)
    body = wire.Transfer(driver_id=helper.driver_id, everything_on_board=True, **WHY)
    call = ops.call("transfer", ("delivery", delivery_id))
    with pytest.raises(FlexliveError) as early:
        await transfers.transfer(world.ctx, call, body)
    assert code(early) is ErrorCode.ILLEGAL_TRANSITION
    await phone.pick_up()
    with pytest.raises(FlexliveError) as same:
        await transfers.transfer(world.ctx, call, wire.Transfer(driver_id=phone.driver.driver_id, **WHY))
    assert code(same) is ErrorCode.INVALID

    await transfers.transfer(world.ctx, call, body)
    with pytest.raises(FlexliveError) as twice:
        await transfers.transfer(world.ctx, call, body)
    assert code(twice) is ErrorCode.CONFLICT
    await transfers.cancel_transfer(world.ctx, ops.call("cancel_transfer", ("delivery", delivery_id)))
    second = OnTheRoad(world, helper)
    assert await second.routes() == ()
    with pytest.raises(FlexliveError) as none:
        await transfers.cancel_transfer(world.ctx, ops.call("cancel_transfer", ("delivery", delivery_id)))
    assert code(none) is ErrorCode.ILLEGAL_TRANSITION

    arranged = await transfers.transfer(world.ctx, call, body)
    assert arranged.result["delivery_ids"] == [str(delivery_id)]
    stop = await second.stop("handover")
    assert stop.deliveries[0].delivery_id == delivery_id
    for package in stop.deliveries[0].packages:
        scanned = await second.send(Scan, stop_id=stop.stop_id, barcode=package.barcode, occurred_at=world.ctx.clock())
        assert scanned == "ok"
    holder = await world.ctx.pool.fetchval("select driver_id from delivery where delivery_id = $1", delivery_id)
    assert holder == helper.driver_id
    assert await phone.routes() == ()
    assert (await second.stop("door")).deliveries[0].delivery_id == delivery_id
    assert (await earned(world)).keys() == {"partial"}
    told = await world.ctx.pool.fetchval("select count(*) from driver_inbox where kind = 'transfer.requested'")
    assert told == 2


async def test_an_accept_and_an_assignment_race_for_one_delivery(world: World, ops: Operator) -> None:
    for _ in range(5):
        [accepting, chosen] = await world.add_drivers(2)
        delivery_id = (await world.order()).delivery_id
        await dispatch(world.ctx, world.market_id)
        offer_id = await world.ctx.pool.fetchval(
            "select offer_id from offer_delivery where delivery_id = $1 and active", delivery_id
        )
        body = wire.Assign(driver_id=chosen.driver_id, **WHY)
        accepted, assigned = await asyncio.gather(
            offers.accept(world.ctx, accept_item(accepting, offer_id)),
            assignments.assign(world.ctx, ops.call("assign", ("delivery", delivery_id)), body),
            return_exceptions=True,
        )
        won = isinstance(accepted, bytes) and msgspec.json.decode(accepted)["code"] == "won"
        assert won == isinstance(assigned, FlexliveError)
        holder = await world.ctx.pool.fetchval("select driver_id from delivery where delivery_id = $1", delivery_id)
        assert holder == (accepting if won else chosen).driver_id
