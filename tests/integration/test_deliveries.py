"""Orders on a real database: made once however often they are sent, refused with a reason, made ready by the store."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.domain.sites import Hours
from flexlive.protocol import merchant as wire
from flexlive.protocol import ops
from flexlive.services import codes, deliveries, markets, merchants, tokens, tracking
from flexlive.services.tokens import MerchantPrincipal
from tests.support.world import World, hours


def order(world: World, **changes: Any) -> wire.CreateDelivery:
    return wire.CreateDelivery(
        **{
            "external_delivery_id": "order-1",
            "external_store_id": world.store.external_store_id,
            "service_level": "express",
            "dropoff_address": "12 Elm St",
            "dropoff_lat": 36.14,
            "dropoff_lon": -115.17,
            "contact_name": "Ana",
            "packages": (wire.PackageRequest(), wire.PackageRequest(size="large", weight_grams=4000)),
            **changes,
        }
    )


async def place(
    world: World, request: wire.CreateDelivery, merchant: MerchantPrincipal | None = None
) -> tuple[wire.DeliveryCreated, bool]:
    return await deliveries.create(world.ctx, merchant or world.merchant, request, wire.canonical_sha256(request))


async def refused(world: World, request: wire.CreateDelivery) -> FlexliveError:
    with pytest.raises(FlexliveError) as caught:
        await place(world, request)
    return caught.value


async def count(world: World, table: str) -> int:
    return await world.ctx.pool.fetchval(f"select count(*) from {table} where market_id = $1", world.market_id)


async def test_an_order_becomes_a_delivery_with_labels_events_and_a_link(world: World) -> None:
    created, first = await place(world, order(world))

    assert first
    assert created.market_id == world.market_id
    assert [package.size for package in created.packages] == ["small", "large"]
    assert all(codes.is_package_label(package.barcode) for package in created.packages)
    assert created.pincode is None
    token = created.tracking_url.rsplit("/", 1)[1]
    assert (await tracking.open_link(world.ctx, token)).delivery_id == created.delivery_id
    events = await world.ctx.pool.fetch(
        "select stream, seq, kind, actor_type, data from event where market_id = $1 order by event_id", world.market_id
    )
    assert [(row["stream"].partition(":")[0], row["seq"], row["kind"]) for row in events] == [
        ("delivery", 1, "delivery.created"),
        ("track", 1, "track.created"),
    ]
    assert events[0]["actor_type"] == "merchant"
    assert set(events[1]["data"]) == {"status", "at", "courier"}


async def test_no_token_in_the_clear_reaches_the_database(world: World) -> None:
    created, _ = await place(world, order(world))
    secret = created.tracking_url.rsplit("_", 1)[1]
    for table in ("token", "delivery", "event"):
        rows = await world.ctx.pool.fetch(f"select to_jsonb(t)::text as line from {table} t")
        assert rows
        assert not any(secret in row["line"] for row in rows)


async def test_the_same_order_again_gets_the_same_bytes(world: World) -> None:
    created, _ = await place(world, order(world, dropoff_verification=wire.DropoffVerification(pincode=True)))
    # What has happened since does not show.
    await world.ctx.pool.execute(
        "update delivery set readiness = 'ready', version = 7, tip_cents = 900 where delivery_id = $1",
        created.delivery_id,
    )
    again, first = await place(world, order(world, dropoff_verification=wire.DropoffVerification(pincode=True)))
    assert not first
    assert msgspec.json.encode(again) == msgspec.json.encode(created)
    assert await count(world, "delivery") == 1
    assert await count(world, "token") == 1


async def test_another_order_under_the_same_number_is_a_conflict(world: World) -> None:
    created, _ = await place(world, order(world))
    error = await refused(world, order(world, tip_cents=1))
    assert error.code is ErrorCode.CONFLICT
    assert error.fields["delivery_id"] == created.delivery_id


async def test_concurrent_twins_make_one_delivery(world: World) -> None:
    same, other = order(world), order(world, tip_cents=500)
    outcomes = await asyncio.gather(
        *(place(world, same if index % 4 else other) for index in range(24)), return_exceptions=True
    )
    answers = [outcome for outcome in outcomes if isinstance(outcome, tuple)]
    conflicts = [outcome for outcome in outcomes if isinstance(outcome, FlexliveError)]
    assert len(answers) + len(conflicts) == 24
    assert {error.code for error in conflicts} == {ErrorCode.CONFLICT}
    assert sum(first for _, first in answers) == 1
    assert len({msgspec.json.encode(created) for created, _ in answers}) == 1
    assert len(conflicts) in (6, 18)
    assert await count(world, "delivery") == 1
    assert await count(world, "package") == 2
    assert await count(world, "event") == 2


async def test_a_retry_is_answered_although_the_store_has_closed(world: World) -> None:
    created, _ = await place(world, order(world))
    await world.ctx.pool.execute("update store set hours = '{}'")
    again, _ = await place(world, order(world))
    assert again == created
    assert (await refused(world, order(world, external_delivery_id="order-2"))).code is ErrorCode.MERCHANT_CLOSED


async def test_a_merchants_second_key_gets_a_link_that_works_too(world: World) -> None:
    created, _ = await place(world, order(world))
    key = (await merchants.add_key(world.ctx, world.merchant.merchant_id)).api_key
    again, first = await place(world, order(world), await tokens.verify_merchant(world.ctx, key))
    assert not first
    assert again.tracking_url != created.tracking_url
    for answer in (created, again):
        link = await tracking.open_link(world.ctx, answer.tracking_url.rsplit("/", 1)[1])
        assert link.delivery_id == created.delivery_id


@pytest.mark.parametrize(("asked", "digits"), [(True, 4), ("123456", 6)])
async def test_a_pin_is_drawn_or_taken_over_and_stays_out_of_the_verification(
    world: World, asked: bool | str, digits: int
) -> None:
    created, _ = await place(world, order(world, dropoff_verification=wire.DropoffVerification(pincode=asked)))
    assert created.pincode is not None
    assert created.pincode.isdigit()
    assert len(created.pincode) == digits
    row = await world.ctx.pool.fetchrow("select pincode, dropoff_verification from delivery")
    assert row is not None
    assert row["pincode"] == created.pincode
    assert row["dropoff_verification"]["pincode"] is True
    # A PIN may be part of an id by chance only; it must not be in an event at all.
    assert not await world.ctx.pool.fetchval(
        "select bool_or(data::text like '%\"' || $1 || '\"%') from event", created.pincode
    )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"external_store_id": "nowhere"}, ErrorCode.STORE_UNKNOWN),
        ({"offer_type": "grocery"}, ErrorCode.NOT_PARTICIPATING),
        ({"service_level": "two_day"}, ErrorCode.INVALID),
        ({"currency": "EUR"}, ErrorCode.INVALID),
        ({"packages": (wire.PackageRequest(weight_grams=20_001),)}, ErrorCode.INVALID),
        ({"packages": (wire.PackageRequest(barcode="A"), wire.PackageRequest(barcode="A"))}, ErrorCode.INVALID),
        ({"dropoff_verification": wire.DropoffVerification(barcodes=("A",))}, ErrorCode.INVALID),
    ],
)
async def test_what_cannot_be_done_is_refused_with_its_reason(
    world: World, changes: dict[str, Any], code: ErrorCode
) -> None:
    assert (await refused(world, order(world, **changes))).code is code
    assert await count(world, "delivery") == 0


@pytest.mark.parametrize(
    "terms",
    [
        {"active": False},
        {"valid_from": timedelta(hours=1)},
        {"valid_from": timedelta(hours=-2), "valid_until": timedelta(hours=-1)},
    ],
)
async def test_only_present_participation_counts(world: World, terms: dict[str, Any]) -> None:
    now = world.ctx.clock()
    await markets.put_participation(
        world.ctx,
        world.market_id,
        ops.PutParticipation(
            merchant_id=world.merchant.merchant_id,
            site_id=world.site.site_id,
            offer_type="retail_delivery",
            **{name: now + value if isinstance(value, timedelta) else value for name, value in terms.items()},
        ),
    )
    assert (await refused(world, order(world))).code is ErrorCode.NOT_PARTICIPATING


async def test_an_offer_type_switched_off_takes_no_orders(world: World) -> None:
    request = ops.PutOfferType(name="Retail delivery", active=False)
    await markets.put_offer_type(world.ctx, world.market_id, "retail_delivery", request)
    assert (await refused(world, order(world))).code is ErrorCode.NOT_PARTICIPATING


async def test_the_market_follows_from_the_merchants_store_number(world: World) -> None:
    await markets.create(
        world.ctx, ops.CreateMarket(market_id="elsewhere", name="Elsewhere", time_zone="America/Phoenix")
    )
    with pytest.raises(FlexliveError) as caught:
        await merchants.create_store(
            world.ctx,
            "elsewhere",
            ops.CreateStore(
                merchant_id=world.merchant.merchant_id,
                site_id=world.site.site_id,
                external_store_id="x",
                name="x",
                hours=hours(),
            ),
        )
    # A site of another market is not there.
    assert caught.value.code is ErrorCode.NOT_FOUND
    other = await merchants.create(world.ctx, ops.CreateMerchant(name="Another"))
    stranger = await tokens.verify_merchant(world.ctx, other.api_key)
    with pytest.raises(FlexliveError) as caught:
        await place(world, order(world), stranger)
    assert caught.value.code is ErrorCode.STORE_UNKNOWN


async def test_a_closed_site_closes_its_stores_to_express(world: World) -> None:
    await world.ctx.pool.execute("update pickup_site set hours = $1", msgspec.to_builtins(Hours()))
    assert (await refused(world, order(world))).code is ErrorCode.MERCHANT_CLOSED


async def test_readiness_fills_in_skipped_steps_and_tells_customer_and_driver_side(world: World) -> None:
    created, _ = await place(world, order(world))
    said = await deliveries.set_readiness(world.ctx, world.merchant, world.market_id, created.delivery_id, "ready")
    assert (said.status, said.readiness, said.version) == ("created", "ready", 2)
    again = await deliveries.set_readiness(world.ctx, world.merchant, world.market_id, created.delivery_id, "ready")
    assert again == said
    rows = await world.ctx.pool.fetch("select kind, seq, actor_type, data from event where seq > 1 order by event_id")
    assert [(row["kind"], row["seq"]) for row in rows] == [("delivery.readiness", 2), ("track.readiness", 2)]
    assert rows[0]["data"]["update"] == {
        "delivery_id": str(created.delivery_id),
        "status": "created",
        "readiness": "ready",
        "version": 2,
    }
    assert rows[1]["data"]["readiness"] == "ready"


async def test_readiness_refuses_steps_back_and_strangers(world: World) -> None:
    created, _ = await place(world, order(world))
    set_readiness = deliveries.set_readiness
    await set_readiness(world.ctx, world.merchant, world.market_id, created.delivery_id, "unavailable")
    with pytest.raises(FlexliveError) as caught:
        await set_readiness(world.ctx, world.merchant, world.market_id, created.delivery_id, "ready")
    assert caught.value.code is ErrorCode.ILLEGAL_TRANSITION
    assert caught.value.fields["readiness"] == "unavailable"
    stranger = MerchantPrincipal(uuid4(), frozenset({"deliveries"}), b"")
    for who, delivery_id in ((stranger, created.delivery_id), (world.merchant, uuid4())):
        with pytest.raises(FlexliveError) as caught:
            await set_readiness(world.ctx, who, world.market_id, delivery_id, "ready")
        assert caught.value.code is ErrorCode.NOT_FOUND


async def test_a_delivery_is_shown_to_its_merchant_and_to_operators_only(world: World) -> None:
    created, _ = await place(world, order(world))
    mine = await deliveries.get(world.ctx, world.market_id, created.delivery_id, world.merchant.merchant_id)
    assert mine.status == "created"
    assert [package.custody for package in mine.packages] == ["store", "store"]
    assert await deliveries.get(world.ctx, world.market_id, created.delivery_id, None) == mine
    for market_id, delivery_id, merchant_id in (
        (world.market_id, created.delivery_id, uuid4()),
        (world.market_id, uuid4(), None),
        ("elsewhere", created.delivery_id, None),
    ):
        with pytest.raises(FlexliveError) as caught:
            await deliveries.get(world.ctx, market_id, delivery_id, merchant_id)
        assert caught.value.code is ErrorCode.NOT_FOUND
