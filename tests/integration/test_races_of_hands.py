"""Two who act on one delivery in the same moment: one of them comes first, nobody waits for ever, nothing is torn."""

from __future__ import annotations

import asyncio
from collections import Counter
from uuid import UUID

import msgspec

from flexlive.domain.markets import MarketPolicy
from flexlive.domain.reasons import ReasonCode
from flexlive.protocol import ops_actions as wire
from flexlive.protocol.driver import Deliver, RouteForfeit, Scan
from flexlive.services import cancellations, offers, transfers
from flexlive.services.causes import Cause
from flexlive.services.context import Context
from flexlive.storage.transaction import transaction
from tests.integration.ledgers import assert_sound
from tests.support.dispatch import dispatch, open_offer_ids
from tests.support.on_the_road import OnTheRoad, Operator, with_work
from tests.support.world import World, accept_item, build_world

ROUNDS = 4


async def cancel(world: World, delivery_id: UUID) -> str:
    now = world.ctx.clock()
    cause = Cause("merchant", "m", now, now, ReasonCode.MERCHANT_CANCELLED)
    async with transaction(world.ctx.pool) as conn:
        return (await cancellations.cancel(world.ctx, conn, world.market_id, delivery_id, cause)).code


async def statuses(world: World) -> Counter[str]:
    return Counter(row["status"] for row in await world.ctx.pool.fetch("select status from delivery"))


async def test_accepting_against_calling_off(ctx: Context) -> None:
    world = await build_world(ctx, policy=MarketPolicy(bundle_deliveries_max=2))
    drivers = await world.add_drivers(ROUNDS)
    ids = [(await world.order()).delivery_id for _ in range(2 * ROUNDS)]
    await dispatch(ctx, world.market_id)
    opened = await open_offer_ids(ctx, world.market_id)
    accepts = [offers.accept(ctx, accept_item(driver, offer)) for driver, offer in zip(drivers, opened, strict=False)]
    answers = await asyncio.gather(*accepts, *(cancel(world, each) for each in ids[::2]))
    won = sum(msgspec.json.decode(body)["code"] == "won" for body in answers[: len(accepts)])
    assert set(answers[len(accepts) :]) == {"ok"}
    found = await statuses(world)
    assert found["cancelled"] == ROUNDS
    assert found["confirmed"] + found["created"] == ROUNDS
    assert await ctx.pool.fetchval("select count(*) from route") == won
    await assert_sound(world)


async def test_giving_back_against_calling_off(world: World) -> None:
    work = [await with_work(world) for _ in range(ROUNDS)]
    routes = [(await phone.routes())[0].route_id for phone, _ in work]
    answers = await asyncio.gather(
        *(cancel(world, delivery_id) for _, delivery_id in work),
        *(
            phone.send(RouteForfeit, route_id=route_id, reason="other")
            for (phone, _), route_id in zip(work, routes, strict=True)
        ),
    )
    assert set(answers[:ROUNDS]) == {"ok"}
    assert set(answers[ROUNDS:]) <= {"ok", "illegal_transition"}
    assert await statuses(world) == {"cancelled": ROUNDS}
    assert await world.ctx.pool.fetchval("select count(*) from slot where active") == 0
    await assert_sound(world)


async def test_delivering_against_the_scan_that_takes_it_over(world: World) -> None:
    """Whoever comes first has it: delivered by the first, or gone on with the second."""
    why = {"reason_code": ReasonCode.VEHICLE_PROBLEM, "note": "smoke"}
    pairs: list[tuple[OnTheRoad, OnTheRoad, UUID, UUID, str]] = []
    for _ in range(ROUNDS):
        first, delivery_id = await with_work(world)
        await first.pick_up()
        assert await first.check_in("door") == "ok"
        [driver] = await world.add_drivers(1)
        body = wire.Transfer(**why, driver_id=driver.driver_id, lat=36.1, lon=-115.1)
        await transfers.transfer(world.ctx, Operator(world).call("transfer", ("delivery", delivery_id), body), body)
        await world.ctx.pool.execute("update driver set presence = 'offline' where driver_id = $1", driver.driver_id)
        second = OnTheRoad(world, driver)
        stop = await second.stop("handover")
        pairs.append((first, second, delivery_id, stop.stop_id, stop.deliveries[0].packages[0].barcode))
    now = world.ctx.clock()
    answers = await asyncio.gather(
        *(first.send(Deliver, delivery_id=each, occurred_at=now) for first, _, each, _, _ in pairs),
        *(second.send(Scan, stop_id=at, barcode=code, occurred_at=now) for _, second, _, at, code in pairs),
    )
    for (first, second, delivery_id, _, _), said, scanned in zip(
        pairs, answers[:ROUNDS], answers[ROUNDS:], strict=True
    ):
        row = await world.ctx.pool.fetchrow(
            "select status, driver_id from delivery where delivery_id = $1", delivery_id
        )
        assert row is not None
        if said == "ok":
            assert tuple(row.values()) == ("delivered", first.driver.driver_id)
            assert scanned == "illegal_transition"
            assert await second.routes() == ()
        else:
            assert (said, scanned) == ("not_found", "ok")
            assert tuple(row.values()) == ("enroute_to_dropoff", second.driver.driver_id)
            assert await first.routes() == ()
    await assert_sound(world)
