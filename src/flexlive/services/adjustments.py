"""Money by hand: one row of the ledger, with the event that explains it."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Final
from uuid import UUID

from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.domain.pay import LedgerKind
from flexlive.protocol import ops_actions as wire
from flexlive.services.causes import Cause
from flexlive.services.context import Context
from flexlive.services.ops_actions import OpsCall, Result, carry_out
from flexlive.storage import adjustments as rows
from flexlive.storage import drivers, inbox, ledger
from flexlive.storage.events import append
from flexlive.storage.ledger import NewEntry
from flexlive.storage.pool import Connection

INBOX_DAYS: Final = 30


async def adjust(ctx: Context, call: OpsCall, body: wire.Adjust) -> wire.Action:
    """Owe the driver so much more, or less. Only with an Idempotency-Key: a repeated request must not pay twice.

    FlexliveError: invalid (no key, or nothing to adjust), not_found (driver, or a delivery this driver never had).
    """
    if call.idempotency_key is None:
        raise FlexliveError(ErrorCode.INVALID, "an adjustment needs an Idempotency-Key")
    if body.amount_cents == 0:
        raise FlexliveError(ErrorCode.INVALID, "an adjustment of nothing")
    return await carry_out(ctx, call, partial(_write, ctx, call, body))


async def _write(ctx: Context, call: OpsCall, body: wire.Adjust, conn: Connection, cause: Cause) -> Result:
    market_id, driver_id = call.market_id, call.subject_id
    if not await drivers.lock(conn, market_id, [driver_id]):
        raise FlexliveError(ErrorCode.NOT_FOUND)
    rules = await ctx.rules.get(conn, market_id, ctx.monotonic())
    route_id, currency = await _about(conn, market_id, driver_id, body.delivery_id, rules.currency)
    told = {"driver_id": driver_id, "amount_cents": body.amount_cents, "currency": currency, "note": body.note}
    # Named by the event of the delivery it is about, else by one of the driver's own stream.
    event = (
        cause.event("driver", driver_id, "driver.pay_adjusted", told)
        if body.delivery_id is None
        else cause.event("delivery", body.delivery_id, "delivery.pay_adjusted", told)
    )
    [earned_by] = await append(conn, market_id, [event])
    entry = NewEntry(ctx.new_id(), body.delivery_id, LedgerKind.ADJUSTMENT.value, body.amount_cents, earned_by.event_id)
    await ledger.insert(conn, market_id, driver_id, route_id, currency, cause.received_at, [entry])
    shown = {
        "amount_cents": body.amount_cents,
        "currency": currency,
        "delivery_id": body.delivery_id,
        "reason_code": cause.reason_code,
    }
    await inbox.put(
        conn,
        market_id,
        [driver_id],
        "pay.adjusted",
        shown,
        created_at=cause.received_at,
        expires_at=cause.received_at + timedelta(days=INBOX_DAYS),
    )
    return {"entry_id": entry.entry_id, "amount_cents": body.amount_cents, "currency": currency}


async def _about(
    conn: Connection, market_id: str, driver_id: UUID, delivery_id: UUID | None, currency: str
) -> tuple[UUID | None, str]:
    """(route, currency) of the row."""
    if delivery_id is None:
        return None, currency
    row = await rows.lock_delivery(conn, market_id, delivery_id)
    if row is None or not await rows.had_delivery(conn, market_id, delivery_id, driver_id):
        raise FlexliveError(ErrorCode.NOT_FOUND, "no such delivery of this driver")
    return (row["route_id"] if row["driver_id"] == driver_id else None), row["currency"]
