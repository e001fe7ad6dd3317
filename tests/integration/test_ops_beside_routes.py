"""Operators beside the routes: deadlines, money, drivers, evidence, links, and the story of it all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.domain.reasons import ReasonCode
from flexlive.protocol import ops_actions as wire
from flexlive.services import (
    adjustments,
    assignments,
    deadlines,
    overrides,
    stories,
    suspensions,
    tracking,
)
from flexlive.services.drivers import Refused, authenticate
from tests.support.on_the_road import OnTheRoad, Operator, audit_findings, kinds, status, with_work
from tests.support.world import World

WHY: dict[str, Any] = {"reason_code": ReasonCode.OPS_DECISION, "note": "n"}


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


async def test_deadlines_only_move_back(world: World, ops: Operator) -> None:
    phone, delivery_id = await with_work(world)
    row = await world.ctx.pool.fetchrow("select dropoff_deadline_at as at, version from delivery")
    assert row is not None
    at = row["at"]
    call = ops.call("extend", ("delivery", delivery_id))
    later = wire.Extend(dropoff_deadline_at=at + timedelta(hours=1), **WHY)
    assert (await deadlines.extend(world.ctx, call, later)).result["changed"] is True
    assert (await deadlines.extend(world.ctx, call, later)).result["changed"] is False
    door = await phone.stop("door")
    assert door.window.deadline_at == at + timedelta(hours=1)
    assert (await kinds(world, f"track:{delivery_id}"))[-1] == "track.window"
    assert (await kinds(world, f"delivery:{delivery_id}")).count("delivery.deadline_extended") == 1
    for bad, expected in (
        (wire.Extend(**WHY), ErrorCode.INVALID),
        (wire.Extend(dropoff_deadline_at=at, **WHY), ErrorCode.PICKUP_WINDOW_INVALID),
        (wire.Extend(dropoff_deadline_at=at + timedelta(days=40), **WHY), ErrorCode.PICKUP_WINDOW_INVALID),
        (wire.Extend(pickup_deadline_at=at + timedelta(hours=2), **WHY), ErrorCode.PICKUP_WINDOW_INVALID),
    ):
        with pytest.raises(FlexliveError) as refused:
            await deadlines.extend(world.ctx, call, bad)
        assert code(refused) is expected


async def test_money_by_hand_names_its_event_and_is_never_doubled(world: World, ops: Operator) -> None:
    phone, delivery_id = await with_work(world)
    driver: tuple[wire.SubjectKind, UUID] = ("driver", phone.driver.driver_id)
    body = wire.Adjust(amount_cents=-250, delivery_id=delivery_id, **WHY)
    with pytest.raises(FlexliveError) as keyless:
        await adjustments.adjust(world.ctx, ops.call("adjust", driver, body), body)
    assert code(keyless) is ErrorCode.INVALID
    for _ in range(2):
        await adjustments.adjust(world.ctx, ops.call("adjust", driver, body, "k"), body)
    bonus = wire.Adjust(amount_cents=1000, **WHY)
    await adjustments.adjust(world.ctx, ops.call("adjust", driver, bonus, "b"), bonus)
    rows = await world.ctx.pool.fetch(
        "select l.kind, l.amount_cents, l.delivery_id, e.kind as earned_by from ledger_entry l"
        " join event e on e.market_id = l.market_id and e.event_id = l.event_id order by l.amount_cents"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("adjustment", -250, delivery_id, "delivery.pay_adjusted"),
        ("adjustment", 1000, None, "driver.pay_adjusted"),
    ]
    [stranger] = await world.add_drivers(1)
    theirs: tuple[wire.SubjectKind, UUID] = ("driver", stranger.driver_id)
    with pytest.raises(FlexliveError) as foreign:
        await adjustments.adjust(world.ctx, ops.call("adjust", theirs, body, "x"), body)
    assert code(foreign) is ErrorCode.NOT_FOUND


async def test_a_suspended_driver_is_refused_until_reinstated(world: World, ops: Operator) -> None:
    phone, delivery_id = await with_work(world)
    driver: tuple[wire.SubjectKind, UUID] = ("driver", phone.driver.driver_id)
    done = await suspensions.suspend(world.ctx, ops.call("suspend", driver))
    assert done.result["deliveries"] == [{"delivery_id": str(delivery_id), "status": "confirmed"}]
    assert (await suspensions.suspend(world.ctx, ops.call("suspend", driver))).result["changed"] is False
    assert await authenticate(world.ctx, world.driver_tokens[0]) == Refused("deactivated")
    await suspensions.reinstate(world.ctx, ops.call("reinstate", driver))
    assert not isinstance(await authenticate(world.ctx, world.driver_tokens[0]), Refused)
    assert (await kinds(world, f"driver:{phone.driver.driver_id}"))[-3:] == [
        "driver.suspended", "driver.presence", "driver.reinstated",
    ]  # fmt: skip
    presence = await world.ctx.pool.fetchval("select presence from driver")
    assert presence == "offline"


async def test_an_operator_vouches_for_a_phone_without_gps(world: World, ops: Operator) -> None:
    phone, delivery_id = await with_work(world)
    site, store = await phone.stop("site"), await phone.stop("door")
    with pytest.raises(FlexliveError) as early:
        await overrides.check_in(world.ctx, ops.call("check_in", ("stop", store.stop_id)))
    assert code(early) is ErrorCode.ILLEGAL_TRANSITION
    for _ in range(2):
        await overrides.check_in(world.ctx, ops.call("check_in", ("stop", site.stop_id)))
    assert await status(world, delivery_id) == "arrived_at_pickup"
    evidence = await world.ctx.pool.fetch("select method from check_in")
    assert [row["method"] for row in evidence] == ["ops"]


async def test_links_die_and_the_story_tells_it_all(world: World, ops: Operator) -> None:
    created = await world.order(tip_cents=0)
    token = created.tracking_url.rsplit("/", 1)[1]
    assert await tracking.open_link(world.ctx, token)
    call = ops.call("revoke_link", ("delivery", created.delivery_id))
    assert (await overrides.revoke_link(world.ctx, call)).result == {"links": 1}
    assert (await overrides.revoke_link(world.ctx, call)).result == {"links": 0}
    with pytest.raises(FlexliveError):
        await tracking.open_link(world.ctx, token)

    [driver] = await world.add_drivers(1)
    await assignments.assign(
        world.ctx,
        ops.call("assign", ("delivery", created.delivery_id)),
        wire.Assign(driver_id=driver.driver_id, **WHY),
    )
    phone = OnTheRoad(world, driver)
    await phone.pick_up()
    assert await phone.check_in("door") == "ok"
    assert await phone.report(created.delivery_id, ReasonCode.SAFETY) == "ok"
    story = await stories.tell(world.ctx, world.market_id, created.delivery_id)
    encoded = msgspec.json.decode(msgspec.json.encode(story))
    assert encoded["delivery"]["status"] == "undeliverable"
    assert [action["action"] for action in encoded["actions"]] == ["revoke_link", "revoke_link", "assign"]
    assert [route["driver_id"] for route in encoded["routes"]] == [str(driver.driver_id)]
    assert {stop["kind"] for stop in encoded["routes"][0]["stops"]} >= {"site", "store", "door"}
    assert {check["method"] for check in encoded["check_ins"]} == {"geofence"}
    assert [alert["kind"] for alert in encoded["alerts"]] == ["incident"]
    told = [event["kind"] for event in encoded["events"] if event["stream"].startswith("delivery:")]
    assert told == await kinds(world, f"delivery:{created.delivery_id}")
    assert "pincode" not in encoded["delivery"]
    with pytest.raises(FlexliveError) as unknown:
        await stories.tell(world.ctx, world.market_id, uuid4())
    assert code(unknown) is ErrorCode.NOT_FOUND
