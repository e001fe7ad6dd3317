"""Back at the counter: every package scanned again, the store's code, the custody and the money."""

from __future__ import annotations

from flexlive.domain.reasons import ReasonCode
from flexlive.protocol.driver import ReturnConfirm, Scan
from flexlive.protocol.merchant import PackageRequest
from tests.integration.ledgers import assert_sound, earned, pay
from tests.support.on_the_road import status, with_work
from tests.support.world import World


async def test_what_was_refused_is_back_in_the_store(world: World) -> None:
    phone, delivery_id = await with_work(world, packages=(PackageRequest(), PackageRequest()))
    await phone.pick_up()
    assert await phone.report(delivery_id, ReasonCode.CUSTOMER_REFUSED) == "ok"
    back = await phone.stop("return")
    assert (back.name, back.store_id) == ("Shop", world.store.store_id)
    now, code = world.ctx.clock(), world.store.handoff_code
    first, second = (package.barcode for package in back.deliveries[0].packages)
    scan = {"stop_id": back.stop_id, "occurred_at": now}
    confirm = {"stop_id": back.stop_id, "store_code": code}

    assert await phone.send(Scan, **scan, barcode=first) == "illegal_transition"
    assert await phone.send(ReturnConfirm, **confirm) == "illegal_transition"
    assert await phone.check_in("return") == "ok"
    assert await status(world, delivery_id) == "arrived_at_return"
    assert await phone.send(Scan, **scan, barcode="NOT-MINE") == "wrong_package"
    assert await phone.send(Scan, **scan, barcode=first) == "ok"
    assert await phone.send(ReturnConfirm, **confirm) == "wrong_package"
    assert phone.last["current"] == {"barcodes": [second]}
    assert await phone.send(Scan, **scan, barcode=second) == "ok"
    assert await phone.send(ReturnConfirm, stop_id=back.stop_id, store_code="nope") == "wrong_code"
    assert phone.last["current"] == {"attempts_left": 9}
    assert await phone.send(ReturnConfirm, **confirm) == "ok"
    assert await phone.send(ReturnConfirm, **confirm) == "illegal_transition"

    assert await status(world, delivery_id) == "returned"
    assert await world.ctx.pool.fetchval("select array_agg(distinct custody) from package") == ["returned"]
    route = await world.ctx.pool.fetchrow(
        "select r.status, o.status, (select count(*) from slot where active) from route r join offer o using (offer_id)"
    )
    assert route is not None
    assert tuple(route.values()) == ("completed", "completed", 0)
    base, distance = await pay(world, delivery_id)
    quoted = await world.ctx.pool.fetchval("select pay_return_cents from delivery")
    assert await earned(world) == [
        ("base", base, "delivery.returned"),
        ("distance", distance, "delivery.returned"),
        ("return", quoted, "delivery.returned"),
    ]
    assert await world.ctx.pool.fetchval("select count(*) from event where kind = 'track.arrived_at_return'") == 0
    await assert_sound(world)
