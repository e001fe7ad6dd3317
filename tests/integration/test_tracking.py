"""What a link shows, from the first status to the last: nothing of the driver but on the customer's own leg."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from flexlive.domain import cells
from flexlive.domain.deliveries import DeliveryStatus
from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.protocol.customer import TrackState
from flexlive.protocol.merchant import DropoffVerification
from flexlive.realtime.presence import Position
from flexlive.services import tokens, tracking, tracking_links
from flexlive.services.context import Context
from tests.support.tracking import THE_WAY, move, token_of
from tests.support.world import World

OWN_LEG = {DeliveryStatus.ENROUTE_TO_DROPOFF, DeliveryStatus.ARRIVED_AT_DROPOFF}
PIN_SHOWN = OWN_LEG | {DeliveryStatus.PICKED_UP}


async def shown(ctx: Context, token: str) -> TrackState:
    link = await tracking.open_link(ctx, token)
    return tracking.state(ctx, link, await tracking.facts(ctx, link, 0))


async def gone(ctx: Context, token: str) -> bool:
    try:
        await tracking.open_link(ctx, token)
    except FlexliveError as error:
        return error.code is ErrorCode.NOT_FOUND
    return False


async def test_the_driver_is_on_the_page_only_on_the_customers_own_leg(world: World) -> None:
    [driver] = await world.add_drivers(1)
    created = await world.order(dropoff_verification=DropoffVerification(pincode=True))
    for status in (DeliveryStatus.CREATED, *THE_WAY):
        if status is not DeliveryStatus.CREATED:
            await move(world, created.delivery_id, status, driver.driver_id)
        # Not even out of the database.
        row = (await tracking.open_link(world.ctx, token_of(created))).row
        known = (row.courier_first_name, row.driver_id, row.courier_lat, row.courier_lon)
        assert all(part is not None for part in known) if status in OWN_LEG else set(known) == {None}
        state = await shown(world.ctx, token_of(created))
        assert state.status == status.value
        text = msgspec.json.encode(state).decode()
        assert ("Zoltan" in text or "Driver0" in text) is (status in OWN_LEG), status
        assert str(driver.driver_id) not in text
        assert (state.courier is not None) is (status in OWN_LEG)
        assert state.pincode == (created.pincode if status in PIN_SHOWN else None)
        assert state.seq == len(state.timeline)
    assert [entry.status for entry in state.timeline] == ["created", *(step.value for step in THE_WAY)]
    assert state.terminal


async def test_the_courier_is_a_coarse_cell_never_a_point(world: World) -> None:
    [driver] = await world.add_drivers(1)
    created = await world.order()
    await move(world, created.delivery_id, DeliveryStatus.ENROUTE_TO_DROPOFF, driver.driver_id)
    stored = await shown(world.ctx, token_of(created))
    assert stored.courier is not None
    assert stored.courier.cell is not None
    now = world.ctx.clock()
    world.ctx.presence.record(world.market_id, driver.driver_id, Position(36.2, -115.2, 5, now, now))
    live = await shown(world.ctx, token_of(created))
    assert live.courier is not None
    assert live.courier.cell == cells.to_wire(cells.cell_of(36.2, -115.2, 9))
    assert live.courier.cell != stored.courier.cell
    assert "lat" not in msgspec.to_builtins(live.courier)


async def test_unknown_foreign_expired_and_revoked_links_look_alike(world: World) -> None:
    created = await world.order()
    token = token_of(created)
    assert not await gone(world.ctx, token)
    other_market = token.replace("_testville_", "_elsewhere_")
    for wrong in ("", "x", token[:-1] + ("A" if token[-1] != "A" else "B"), other_market, world.api_key):
        assert await gone(world.ctx, wrong)
    far = replace(world.ctx, clock=lambda: world.ctx.clock() + timedelta(days=40))
    assert await gone(far, token)
    assert await tracking.revoke_links(world.ctx, world.market_id, created.delivery_id) == 1
    assert await gone(world.ctx, token)
    assert await tracking.revoke_links(world.ctx, world.market_id, created.delivery_id) == 0


async def test_a_link_dies_a_day_after_the_end(world: World) -> None:
    [driver] = await world.add_drivers(1)
    created = await world.order()
    await move(world, created.delivery_id, DeliveryStatus.DELIVERED, driver.driver_id)
    for hours, dead in ((23.9, False), (24.1, True)):
        then = replace(world.ctx, clock=lambda by=hours: world.ctx.clock() + timedelta(hours=by))
        assert await gone(then, token_of(created)) is dead


async def test_a_revoked_single_token_leaves_the_other_link_alone(world: World) -> None:
    created = await world.order()
    other = tokens.track_token(b"another secret of 32 bytes......", world.market_id, created.delivery_id)
    now = world.ctx.clock()
    await tokens.store_track_token(world.ctx.pool, world.market_id, created.delivery_id, other, now, now)
    assert await tokens.revoke(world.ctx, token_of(created))
    assert await gone(world.ctx, token_of(created))
    assert not await gone(world.ctx, other)


async def test_reasons_are_shown_only_when_something_went_wrong(world: World) -> None:
    [driver] = await world.add_drivers(1)
    created = await world.order()
    await world.ctx.pool.execute("update delivery set reason_code = 'driver_forfeited'")
    assert (await shown(world.ctx, token_of(created))).reason_code is None
    await move(world, created.delivery_id, DeliveryStatus.UNDELIVERABLE, driver.driver_id)
    await world.ctx.pool.execute("update delivery set reason_code = 'customer_unavailable'")
    assert (await shown(world.ctx, token_of(created))).reason_code == "customer_unavailable"


async def test_revoking_links_of_nothing_is_not_found(world: World) -> None:
    with pytest.raises(FlexliveError) as caught:
        await tracking.revoke_links(world.ctx, world.market_id, world.site.site_id)
    assert caught.value.code is ErrorCode.NOT_FOUND


async def test_a_step_within_a_status_is_one_entry(world: World) -> None:
    created = await world.order()
    link = await tracking.open_link(world.ctx, token_of(created))
    [first] = await tracking.facts(world.ctx, link, 0)
    again = replace(first, seq=2, kind="track.readiness")
    assert [entry.status for entry in tracking.timeline([first, again])] == ["created"]


async def test_the_shop_can_send_a_new_link_after_the_old_one_was_ended(world: World) -> None:
    created = await world.order()
    first = await tracking_links.current(world.ctx, world.merchant, world.market_id, created.delivery_id)
    assert first.tracking_url == created.tracking_url
    await tracking.revoke_links(world.ctx, world.market_id, created.delivery_id)
    second = await tracking_links.current(world.ctx, world.merchant, world.market_id, created.delivery_id)
    assert second == await tracking_links.current(world.ctx, world.merchant, world.market_id, created.delivery_id)
    assert await gone(world.ctx, token_of(created))
    assert not await gone(world.ctx, second.tracking_url.rpartition("/")[2])
    stranger = replace(world.merchant, merchant_id=world.site.site_id)
    with pytest.raises(FlexliveError) as caught:
        await tracking_links.current(world.ctx, stranger, world.market_id, created.delivery_id)
    assert caught.value.code is ErrorCode.NOT_FOUND
