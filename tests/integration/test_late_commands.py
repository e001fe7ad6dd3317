"""A phone that was offline: what it sends too late is kept, moves nothing, and is shown where it contradicts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from flexlive.domain.reasons import ReasonCode
from flexlive.protocol.driver import CheckIn, Deliver, Depart, IncidentReport, PickupConfirm, Point, RouteForfeit, Scan
from flexlive.services import assignments, resolutions
from tests.support.on_the_road import OnTheRoad, Operator, audit_findings, kinds, open_alerts, status, with_work
from tests.support.world import World

LATE = "delivery.late_command"


@pytest.fixture(autouse=True)
async def _books_are_right(world: World) -> AsyncIterator[None]:
    """Whatever a test did, the audit finds nothing."""
    yield
    assert await audit_findings(world) == []


async def test_commands_for_work_that_operators_took_away(world: World) -> None:
    phone, delivery_id = await with_work(world)
    site, store = await phone.stop("site"), await phone.stop("store")
    route_id = (await phone.routes())[0].route_id
    operator = Operator(world)
    await assignments.unassign(world.ctx, operator.call("unassign", ("delivery", delivery_id)))
    before = await kinds(world, f"delivery:{delivery_id}")
    said_at = world.ctx.clock() - timedelta(minutes=5)

    here = Point(lat=site.lat, lon=site.lon, at=said_at, accuracy_m=5)
    arrival = {"stop_id": site.stop_id, "method": "geofence", "at": said_at, "point": here}
    assert await phone.send(CheckIn, **arrival) in ("illegal_transition", "not_found")
    scan = {"stop_id": store.stop_id, "barcode": "X", "occurred_at": said_at}
    assert await phone.send(Scan, **scan) in ("illegal_transition", "not_found")
    assert await phone.send(PickupConfirm, stop_id=store.stop_id, store_code="1") in (
        "illegal_transition", "not_found",
    )  # fmt: skip
    assert await phone.send(Deliver, delivery_id=delivery_id, occurred_at=said_at) == "not_found"
    assert await phone.send(RouteForfeit, route_id=route_id, reason="other") in ("illegal_transition", "not_found")

    assert await status(world, delivery_id) == "created"
    assert await kinds(world, f"delivery:{delivery_id}") == [*before, *[LATE] * 5]
    rows = await world.ctx.pool.fetch(
        "select data, occurred_at, received_at, actor_type from event where kind = $1 order by seq", LATE
    )
    assert [row["data"]["command"] for row in rows] == [
        "check_in", "scan", "pickup.confirm", "deliver", "route.forfeit",
    ]  # fmt: skip
    assert {row["actor_type"] for row in rows} == {"driver"}
    assert rows[1]["occurred_at"] == rows[3]["occurred_at"] == said_at < rows[1]["received_at"]
    assert await open_alerts(world) == ["late_command"]


async def test_what_the_driver_did_itself_is_nobodys_contradiction(world: World) -> None:
    phone, delivery_id = await with_work(world)
    door = await phone.stop("door")
    await phone.pick_up()
    assert await phone.check_in("door") == "ok"
    now = world.ctx.clock()
    assert await phone.send(Deliver, delivery_id=delivery_id, occurred_at=now) == "ok"
    assert await phone.send(Deliver, delivery_id=delivery_id, occurred_at=now) == "illegal_transition"
    assert await phone.send(IncidentReport, delivery_id=delivery_id, reason_code=ReasonCode.SAFETY.value) in (
        "illegal_transition", "not_found",
    )  # fmt: skip
    # Repeated arrivals are no news.
    assert await phone.send(CheckIn, stop_id=door.stop_id, method="code", at=now, code="x") != "ok"
    assert (await kinds(world, f"delivery:{delivery_id}")).count(LATE) == 2
    assert await open_alerts(world) == []


async def test_a_delivery_after_ops_called_it_lost_asks_for_a_review(world: World) -> None:
    phone, delivery_id = await with_work(world)
    await phone.pick_up()
    operator = Operator(world)
    await resolutions.lose(world.ctx, operator.call("lost", ("delivery", delivery_id)))
    assert await phone.send(Deliver, delivery_id=delivery_id, occurred_at=world.ctx.clock()) in (
        "illegal_transition", "not_found",
    )  # fmt: skip
    assert await status(world, delivery_id) == "lost"
    assert await open_alerts(world) == ["late_command"]


async def test_early_and_foreign_commands_are_not_late(world: World) -> None:
    phone, delivery_id = await with_work(world)
    now = world.ctx.clock()
    assert await phone.send(Deliver, delivery_id=delivery_id, occurred_at=now) == "illegal_transition"
    door = await phone.stop("door")
    assert await phone.send(Depart, stop_id=door.stop_id) == "illegal_transition"
    [other] = await world.add_drivers(1)
    stranger = OnTheRoad(world, other)
    assert await stranger.send(Deliver, delivery_id=delivery_id, occurred_at=now) == "not_found"
    assert await stranger.send(Depart, stop_id=door.stop_id) == "not_found"
    assert LATE not in await kinds(world, f"delivery:{delivery_id}")
