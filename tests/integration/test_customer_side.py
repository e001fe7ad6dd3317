"""What reaches a customer beside the statuses – imminence, the arrival – and what a customer may change."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from flexlive.domain import cells
from flexlive.domain.deliveries import DeliveryStatus as S
from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.domain.geography import Point as Place
from flexlive.protocol.driver import Point
from flexlive.realtime.legs import Leg
from flexlive.realtime.presence import Position
from flexlive.services import courier_news, drop_off_instructions, locations, offers, tracking
from flexlive.services.courier_news import CourierNews
from flexlive.services.tracking import INSTRUCTIONS_EDITABLE
from tests.support.dispatch import dispatch, open_offer_ids
from tests.support.tracking import THE_WAY, move, token_of
from tests.support.world import SITE, World, accept_item

DOOR = (SITE[0] + 0.018, SITE[1])


async def facts(world: World, kind: str) -> list[dict[str, Any]]:
    rows = await world.ctx.pool.fetch("select actor_type, data from event where kind = $1 order by event_id", kind)
    return [{"actor_type": row["actor_type"], **row["data"]} for row in rows]


async def test_imminence_is_one_fact_of_the_driver_on_the_own_leg(world: World) -> None:
    [driver, other] = await world.add_drivers(2)
    created = await world.order()
    now = datetime.now(UTC)

    async def say(driver_id: Any = driver.driver_id) -> bool:
        return await courier_news.set_imminent(world.ctx, world.market_id, driver_id, created.delivery_id, now)

    for status in (S.CONFIRMED, S.PICKED_UP, S.ENROUTE_TO_DROPOFF):
        assert not await say()
        await move(world, created.delivery_id, status, driver.driver_id)
    assert not await say(other.driver_id)
    assert sorted(await asyncio.gather(*(say() for _ in range(4)))) == [False, False, False, True]
    [fact] = await facts(world, "track.courier_imminent")
    assert fact["courier_imminent"] is True
    assert fact["status"] == "enroute_to_dropoff"
    assert fact["actor_type"] == "system"
    assert str(driver.driver_id) not in str(fact)
    state = await _state(world, token_of(created))
    assert state.courier_imminent
    # The fact is no status of its own.
    assert [entry.status for entry in state.timeline][-1] == "enroute_to_dropoff"
    await move(world, created.delivery_id, S.ARRIVED_AT_DROPOFF, driver.driver_id)
    assert not await say()


async def test_a_ping_tells_the_next_customer_and_imminence_once(world: World) -> None:
    [driver] = await world.add_drivers(1)
    created = await world.order()
    await move(world, created.delivery_id, S.ENROUTE_TO_DROPOFF, driver.driver_id)
    await world.ctx.bus.start()
    heard: list[CourierNews] = []
    topic = courier_news.positions_topic(world.market_id)
    world.ctx.bus.subscribe(topic, lambda payload: heard.append(msgspec.json.decode(payload, type=CourierNews)))
    leg = Leg(world.site.site_id, world.site.site_id, "door", False, Place(*DOOR), 60, created.delivery_id)
    world.ctx.legs._by_driver[world.market_id, driver.driver_id] = leg  # pyright: ignore[reportPrivateUsage]
    for seconds, lat in enumerate((SITE[0], SITE[0] + 0.0005, SITE[0] + 0.013, SITE[0] + 0.0138)):
        at = datetime(2026, 11, 20, 12, 0, 40 * seconds % 60, tzinfo=UTC).replace(minute=40 * seconds // 60)
        locations.record(world.ctx, driver, [Point(lat=lat, lon=SITE[1], at=at, accuracy_m=5)], at)
    await asyncio.sleep(0.3)
    await world.ctx.bus.stop()
    assert [news.delivery_id for news in heard] == [str(created.delivery_id)] * 4
    told = [cells.from_wire(news.cell) for news in heard]
    assert [cells.resolution_of(cell) for cell in told if cell is not None] == [9, 9, 9, 12]
    # What is told again is what has changed by a minute or more.
    assert [news.eta is not None for news in heard] == [True, False, True, False]
    assert len(await facts(world, "track.courier_imminent")) == 1


async def test_the_expected_arrival_is_in_the_state_on_the_way_only(world: World) -> None:
    [driver] = await world.add_drivers(1)
    created = await world.order()
    now = world.ctx.clock()
    world.ctx.presence.record(world.market_id, driver.driver_id, Position(*SITE, 5, now, now))
    for status in THE_WAY:
        await move(world, created.delivery_id, status, driver.driver_id)
        state = await _state(world, token_of(created))
        assert (state.eta is not None) is (status is S.ENROUTE_TO_DROPOFF)
        if state.eta is not None:
            # 2 km, 1.3 times as far by road, at 8.3 m/s.
            assert 290 < (state.eta.arrives_at - now).total_seconds() < 340
            assert state.eta.from_at < state.eta.arrives_at < state.eta.until_at
        assert (state.door.lat, state.door.lon) == DOOR


async def test_instructions_reach_the_driver_and_the_page(world: World) -> None:
    [driver] = await world.add_drivers(1)
    created = await world.order(dropoff_instructions="Ring")
    await dispatch(world.ctx, world.market_id)
    [offer_id] = await open_offer_ids(world.ctx, world.market_id)
    await offers.accept(world.ctx, accept_item(driver, offer_id))
    token = token_of(created)
    answer = await drop_off_instructions.change(world.ctx, token, "  Blue door \n second floor\n\n")
    assert answer.dropoff_instructions == "Blue door\n second floor"
    [route] = await facts(world, "route.instructions")
    assert (route["actor_type"], route["driver_id"]) == ("customer", str(driver.driver_id))
    assert route["route"]["stops"][-1]["instructions"] == "Blue door\n second floor"
    [fact] = await facts(world, "track.instructions")
    assert (fact["actor_type"], fact["courier"], fact["status"]) == ("system", None, "confirmed")
    state = await _state(world, token)
    assert state.dropoff_instructions == "Blue door\n second floor"
    # The same again is no fact.
    await drop_off_instructions.change(world.ctx, token, "Blue door\n second floor")
    assert len(await facts(world, "track.instructions")) == 1
    assert (await drop_off_instructions.change(world.ctx, token, "")).dropoff_instructions == ""


async def test_instructions_before_anybody_has_the_work(world: World) -> None:
    created = await world.order()
    await drop_off_instructions.change(world.ctx, token_of(created), "Knock")
    assert await facts(world, "route.instructions") == []
    assert len(await facts(world, "delivery.instructions")) == 1


async def test_instructions_end_where_nobody_would_read_them(world: World) -> None:
    [driver] = await world.add_drivers(1)
    for status in S:
        created = await world.order()
        token = token_of(created)
        if status is not S.CREATED:
            await move(world, created.delivery_id, status, driver.driver_id)
        assert (await _state(world, token)).instructions_editable is (status in INSTRUCTIONS_EDITABLE)
        if status in INSTRUCTIONS_EDITABLE:
            await drop_off_instructions.change(world.ctx, token, "Knock")
            continue
        with pytest.raises(FlexliveError) as caught:
            await drop_off_instructions.change(world.ctx, token, "Knock")
        assert (caught.value.code, caught.value.fields) == (ErrorCode.ILLEGAL_TRANSITION, {"status": status.value})


async def test_a_dead_link_changes_nothing_and_a_busy_one_not_for_ever(world: World) -> None:
    created = await world.order()
    token = token_of(created)
    for number in range(drop_off_instructions.CHANGES_MAX):
        await drop_off_instructions.change(world.ctx, token, f"Door {number}")
    with pytest.raises(FlexliveError) as caught:
        await drop_off_instructions.change(world.ctx, token, "one more")
    assert caught.value.code is ErrorCode.RATE_LIMITED
    await tracking.revoke_links(world.ctx, world.market_id, created.delivery_id)
    with pytest.raises(FlexliveError) as caught:
        await drop_off_instructions.change(world.ctx, token, "Door 3")
    assert caught.value.code is ErrorCode.NOT_FOUND


async def _state(world: World, token: str) -> Any:
    link = await tracking.open_link(world.ctx, token)
    return tracking.state(world.ctx, link, await tracking.facts(world.ctx, link, 0))
