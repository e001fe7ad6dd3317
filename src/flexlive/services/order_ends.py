"""An order called off from the merchant's side: by the merchant's system, or by a counter that cannot supply it."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.domain.readiness import Readiness, readiness_steps
from flexlive.domain.reasons import ReasonCode
from flexlive.protocol import merchant as wire
from flexlive.services import cancellations
from flexlive.services.answers import Answer
from flexlive.services.causes import Cause
from flexlive.services.context import Context
from flexlive.services.delivery_lock import LockedDelivery, lock_delivery
from flexlive.services.tokens import MerchantPrincipal
from flexlive.storage import deliveries as rows
from flexlive.storage.events import append
from flexlive.storage.pool import Connection, Record
from flexlive.storage.transaction import transaction

UNAVAILABLE_REASON: Final = ReasonCode.ITEM_MISSING


async def cancel(
    ctx: Context, merchant: MerchantPrincipal, market_id: str, delivery_id: UUID, reason_code: wire.CancelReason
) -> wire.DeliveryCancelled:
    """End an order before it is picked up; once it is cancelled, asking again changes nothing.

    FlexliveError: not_found (unknown, or another merchant's), illegal_transition (with `delivery_status`).
    """
    now = ctx.clock()
    async with transaction(ctx.pool) as conn:
        locked = await _lock(conn, merchant, market_id, delivery_id)
        cause = Cause("merchant", str(merchant.merchant_id), now, now, reason_code)
        _require(await cancellations.cancel_locked(ctx, conn, locked, cause))
        row = await _after(conn, market_id, delivery_id)
    ctx.committed(market_id)
    return wire.DeliveryCancelled(
        delivery_id=delivery_id, status=row["status"], reason_code=row["reason_code"], version=row["version"]
    )


async def store_unavailable(
    ctx: Context, merchant: MerchantPrincipal, market_id: str, delivery_id: UUID
) -> wire.ReadinessSet:
    """The counter cannot supply it: said so, and cancelled, in one transaction. Said before: nothing changes.

    FlexliveError: not_found, illegal_transition (handed over; with the present `readiness`).
    """
    now = ctx.clock()
    async with transaction(ctx.pool) as conn:
        locked = await _lock(conn, merchant, market_id, delivery_id)
        steps = readiness_steps(Readiness(locked.row["readiness"]), Readiness.UNAVAILABLE)
        if steps is None:
            raise FlexliveError(
                ErrorCode.ILLEGAL_TRANSITION,
                f"{locked.row['readiness']} does not become unavailable",
                readiness=locked.row["readiness"],
            )
        if steps:
            await _say_unavailable(conn, merchant, locked, now)
            cause = Cause("store", str(merchant.merchant_id), now, now, UNAVAILABLE_REASON)
            _require(await cancellations.cancel(ctx, conn, market_id, delivery_id, cause))
        row = await _after(conn, market_id, delivery_id)
    ctx.committed(market_id)
    return wire.ReadinessSet(
        delivery_id=delivery_id, status=row["status"], readiness=row["readiness"], version=row["version"]
    )


async def _lock(conn: Connection, merchant: MerchantPrincipal, market_id: str, delivery_id: UUID) -> LockedDelivery:
    # Asked before anything is locked: whose delivery it is never changes.
    row = await rows.get(conn, market_id, delivery_id)
    if row is None or row["merchant_id"] != merchant.merchant_id:
        raise FlexliveError(ErrorCode.NOT_FOUND)
    locked = await lock_delivery(conn, market_id, delivery_id)
    if locked is None:
        raise FlexliveError(ErrorCode.NOT_FOUND)
    return locked


async def _say_unavailable(
    conn: Connection, merchant: MerchantPrincipal, locked: LockedDelivery, now: datetime
) -> None:
    row = await rows.set_readiness(conn, locked.market_id, locked.delivery_id, Readiness.UNAVAILABLE.value)
    if row is None:
        raise FlexliveError(ErrorCode.NOT_FOUND)
    cause = Cause("store", str(merchant.merchant_id), now, now)
    update = {name: row[name] for name in ("delivery_id", "status", "readiness", "version")}
    told = {"driver_id": locked.row["driver_id"], "update": update}
    await append(conn, locked.market_id, [cause.event("delivery", locked.delivery_id, "delivery.readiness", told)])


async def _after(conn: Connection, market_id: str, delivery_id: UUID) -> Record:
    row = await rows.get(conn, market_id, delivery_id)
    if row is None:
        raise FlexliveError(ErrorCode.NOT_FOUND)
    return row


def _require(answer: Answer) -> None:
    if not answer.ok:
        status = (answer.current or {}).get("status")
        raise FlexliveError(ErrorCode(answer.code), "its packages have left the store, or it is over",
                            delivery_status=status)  # fmt: skip
