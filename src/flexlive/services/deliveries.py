"""Orders from merchants: created exactly once, read, and made ready by the store."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from flexlive.domain import cells
from flexlive.domain.deliveries import BEFORE_CUSTODY, DeliveryStatus
from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.domain.readiness import Readiness, readiness_steps
from flexlive.protocol import merchant as wire
from flexlive.services import codes, order_ends, order_terms
from flexlive.services.causes import Cause
from flexlive.services.context import Context
from flexlive.services.delivery_events import delivery_events
from flexlive.services.tokens import MerchantPrincipal, store_track_token, track_token
from flexlive.storage import deliveries as rows
from flexlive.storage import merchants
from flexlive.storage.events import append
from flexlive.storage.pool import Connection, Executor, Record
from flexlive.storage.transaction import transaction

CUSTOMER_VISIBLE_READINESS: Final = frozenset({Readiness.PREPARING, Readiness.READY, Readiness.DELAYED})


async def create(
    ctx: Context, merchant: MerchantPrincipal, request: wire.CreateDelivery, request_sha256: bytes
) -> tuple[wire.DeliveryCreated, bool]:
    """(the answer, True when this call made it). The same request again gets the same answer, whatever came since.

    request_sha256: of what the request means, `protocol.merchant.canonical_sha256`. FlexliveError: store_unknown,
    conflict (the number was used for another order), or what `order_terms.judge` refuses.
    """
    numbered = await merchants.store_numbered(ctx.pool, merchant.merchant_id, request.external_store_id)
    if numbered is None:
        raise FlexliveError(ErrorCode.STORE_UNKNOWN)
    market_id, store_id = numbered
    # Before the terms are judged: a retry is answered although the store has closed meanwhile.
    again = await _ordered_before(ctx, ctx.pool, market_id, merchant, request, request_sha256)
    if again is not None:
        return again, False
    terms = await rows.order_terms(ctx.pool, market_id, store_id, request.service_level, request.offer_type)
    if terms is None:
        raise FlexliveError(ErrorCode.STORE_UNKNOWN)
    now = ctx.clock()
    windows = order_terms.judge(terms, request, now, ctx.time_scale)
    delivery = _delivery(ctx, merchant, request, request_sha256, terms, windows, now)
    packages = _packages(ctx, request)
    async with transaction(ctx.pool) as conn:
        inserted = await rows.insert(conn, market_id, delivery)
        if inserted is not None:
            await rows.insert_packages(conn, market_id, delivery.delivery_id, packages)
            await append(
                conn,
                market_id,
                delivery_events(inserted, None, None, Cause("merchant", str(merchant.merchant_id), now, now)),
            )
        answer = await _ordered_before(ctx, conn, market_id, merchant, request, request_sha256)
    if inserted is not None:
        ctx.committed(market_id)
    if answer is None:
        raise FlexliveError(ErrorCode.CONFLICT, "an order with this number came and went")
    return answer, inserted is not None


async def get(ctx: Context, market_id: str, delivery_id: UUID, merchant_id: UUID | None) -> wire.Delivery:
    """How it stands. merchant_id None: an operator asks. FlexliveError(not_found), for another merchant's too."""
    async with ctx.pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        row = await rows.get(conn, market_id, delivery_id)
        if row is None or merchant_id not in (None, row["merchant_id"]):
            raise FlexliveError(ErrorCode.NOT_FOUND)
        packages = await rows.packages(conn, market_id, delivery_id)
    columns: dict[str, Any] = dict(row.items())
    return msgspec.convert({**columns, "packages": [dict(package.items()) for package in packages]}, wire.Delivery)


async def set_readiness(
    ctx: Context, merchant: MerchantPrincipal, market_id: str, delivery_id: UUID, readiness: str
) -> wire.ReadinessSet:
    """What the counter says, steps it skipped filled in; what it already said is a no-op.

    `unavailable` also cancels the order. FlexliveError: not_found, illegal_transition (with the present readiness).
    """
    wanted = Readiness(readiness)
    if wanted is Readiness.UNAVAILABLE:
        return await order_ends.store_unavailable(ctx, merchant, market_id, delivery_id)
    async with transaction(ctx.pool) as conn:
        row = await rows.lock(conn, market_id, delivery_id)
        if row is None or row["merchant_id"] != merchant.merchant_id:
            raise FlexliveError(ErrorCode.NOT_FOUND)
        steps = readiness_steps(Readiness(row["readiness"]), wanted)
        if steps is None:
            raise FlexliveError(
                ErrorCode.ILLEGAL_TRANSITION,
                f"{row['readiness']} does not become {readiness}",
                readiness=row["readiness"],
            )
        if steps:
            row = await _write_readiness(conn, market_id, merchant, delivery_id, row["driver_id"], wanted, ctx.clock())
    if steps:
        ctx.committed(market_id)
    return wire.ReadinessSet(
        delivery_id=delivery_id, status=row["status"], readiness=row["readiness"], version=row["version"]
    )


async def _write_readiness(
    conn: Connection,
    market_id: str,
    merchant: MerchantPrincipal,
    delivery_id: UUID,
    driver_id: UUID | None,
    wanted: Readiness,
    now: datetime,
) -> Record:
    row = await rows.set_readiness(conn, market_id, delivery_id, wanted.value)
    if row is None:
        raise FlexliveError(ErrorCode.NOT_FOUND)
    cause = Cause("store", str(merchant.merchant_id), now, now)
    update = {name: row[name] for name in ("delivery_id", "status", "readiness", "version")}
    events = [cause.event("delivery", delivery_id, "delivery.readiness", {"driver_id": driver_id, "update": update})]
    if wanted in CUSTOMER_VISIBLE_READINESS and DeliveryStatus(row["status"]) in BEFORE_CUSTODY:
        shown = {"status": row["status"], "at": now, "courier": None, "readiness": wanted.value}
        events.append(cause.event("track", delivery_id, "track.readiness", shown))
    await append(conn, market_id, events)
    return row


async def _ordered_before(
    ctx: Context,
    conn: Executor,
    market_id: str,
    merchant: MerchantPrincipal,
    request: wire.CreateDelivery,
    request_sha256: bytes,
) -> wire.DeliveryCreated | None:
    row = await rows.ordered_before(conn, market_id, merchant.merchant_id, request.external_delivery_id)
    if row is None:
        return None
    if row["request_sha256"] != request_sha256:
        raise FlexliveError(
            ErrorCode.CONFLICT, "this external_delivery_id was used for another order", delivery_id=row["delivery_id"]
        )
    packages = await rows.packages(conn, market_id, row["delivery_id"])
    columns: dict[str, Any] = dict(row.items())
    link = track_token(merchant.link_secret, market_id, row["delivery_id"])
    # Also on a retry: with a merchant's second key the link is another one, and must be good too.
    await store_track_token(conn, market_id, row["delivery_id"], link, row["dropoff_deadline_at"], ctx.clock())
    return msgspec.convert(
        {
            **columns,
            "market_id": market_id,
            "packages": [dict(package.items()) for package in packages],
            "tracking_url": f"{ctx.public_url.rstrip('/')}/t/{link}",
        },
        wire.DeliveryCreated,
    )


def _delivery(
    ctx: Context,
    merchant: MerchantPrincipal,
    request: wire.CreateDelivery,
    request_sha256: bytes,
    terms: Record,
    windows: order_terms.Windows,
    now: datetime,
) -> rows.NewDelivery:
    verification = msgspec.to_builtins(request.dropoff_verification)
    asked = request.dropoff_verification.pincode
    pincode = codes.digits(ctx.new_secret(), "pincode", codes.PINCODE_DIGITS) if asked is True else (asked or None)
    copied = (
        "external_delivery_id", "service_level", "offer_type", "pickup_instructions", "dropoff_instructions",
        "dropoff_address", "dropoff_unit", "dropoff_lat", "dropoff_lon", "contact_name", "contact_phone",
        "order_value_cents", "tip_cents", "undeliverable_action",
    )  # fmt: skip
    return rows.NewDelivery(
        delivery_id=ctx.new_id(),
        merchant_id=merchant.merchant_id,
        store_id=terms["store_id"],
        site_id=terms["site_id"],
        request_sha256=request_sha256,
        pickup_ready_at=windows.pickup_ready_at,
        pickup_deadline_at=windows.pickup_deadline_at,
        dropoff_ready_at=windows.dropoff_ready_at,
        dropoff_deadline_at=windows.dropoff_deadline_at,
        dropoff_cell=cells.cell_of(request.dropoff_lat, request.dropoff_lon, terms["offer_resolution"]),
        currency=terms["currency"],
        # The PIN itself stays out of what is copied to routes and offers.
        dropoff_verification={**verification, "pincode": pincode is not None},
        pincode=pincode,
        fulfilled_by=request.fulfilled_by or terms["brand"],
        created_at=now,
        **{name: getattr(request, name) for name in copied},
    )


def _packages(ctx: Context, request: wire.CreateDelivery) -> list[rows.NewPackage]:
    secret = ctx.new_secret()
    # Rising, so that reading them back in id order is the merchant's own order.
    ids = sorted(ctx.new_id() for _ in request.packages)
    return [
        rows.NewPackage(
            package_id=ids[index],
            barcode=package.barcode or codes.package_label(secret, index),
            size=package.size,
            weight_grams=package.weight_grams,
            must_be_upright=package.must_be_upright,
        )
        for index, package in enumerate(request.packages)
    ]
