"""Drivers' papers: handed in by the driver, decided on by operators; the last one missing opens the way to work."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import msgspec

from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.protocol import ops_market as wire
from flexlive.services import enrolment_steps, markets
from flexlive.services.causes import Cause
from flexlive.services.context import Context
from flexlive.services.drivers import DriverPrincipal
from flexlive.services.tokens import OpsPrincipal
from flexlive.storage import documents as rows
from flexlive.storage import drivers, ops_actions
from flexlive.storage.ops_actions import NewAction
from flexlive.storage.pool import Record
from flexlive.storage.transaction import transaction

ROWS_MAX: Final = 500
REJECTED_WITHOUT_REASON: Final = "rejected"


async def submit(
    ctx: Context, principal: DriverPrincipal, document: str, request: wire.SubmitDocument
) -> wire.DriverDocument:
    """FlexliveError: not_found for an upload this driver has not made, conflict where an approved one still holds."""
    market_id, driver_id = principal.market_id, principal.driver_id
    async with transaction(ctx.pool) as conn:
        await drivers.lock(conn, market_id, [driver_id])
        if not await rows.upload_exists(conn, market_id, driver_id, request.upload_id):
            raise FlexliveError(ErrorCode.NOT_FOUND, "no such upload of this driver")
        row = await rows.submit(conn, market_id, driver_id, document, request.upload_id, ctx.clock())
        if row is None:
            raise FlexliveError(ErrorCode.CONFLICT, "an approved document of this name holds; operators replace it")
    return _shown(row)


async def decide(
    ctx: Context, ops: OpsPrincipal, market_id: str, driver_id: UUID, document: str, request: wire.PutDocument
) -> wire.DriverDocument:
    """Approve or reject, whether or not anything was handed in. FlexliveError: not_found, invalid."""
    await markets.require(ctx, market_id)
    now = ctx.clock()
    if request.expires_at is not None and (request.status != "approved" or request.expires_at <= now):
        raise FlexliveError(ErrorCode.INVALID, "expires_at belongs to an approval and lies ahead")
    reason = None if request.status == "approved" else request.reason or REJECTED_WITHOUT_REASON
    async with transaction(ctx.pool) as conn:
        if not await drivers.lock(conn, market_id, [driver_id]):
            raise FlexliveError(ErrorCode.NOT_FOUND, "no such driver")
        row = await rows.decide(
            conn,
            market_id,
            driver_id,
            document,
            status=request.status,
            reason=reason,
            reviewed_by=str(ops.subject_id),
            expires_at=request.expires_at,
            at=now,
        )
        cause = Cause("ops", str(ops.subject_id), now, now)
        await enrolment_steps.after_document(conn, market_id, driver_id, document, cause, now)
        action = NewAction(
            action_id=ctx.new_id(),
            ops_id=ops.subject_id,
            action="put_document",
            subject_kind="driver",
            subject_id=str(driver_id),
            reason_code="ops_decision",
            note=request.reason,
            created_at=now,
        )
        await ops_actions.insert(conn, market_id, action, {"result": {"document": document, "status": request.status}})
    ctx.committed(market_id)
    return _shown(row)


async def of_driver(ctx: Context, market_id: str, driver_id: UUID) -> list[wire.DriverDocument]:
    await markets.require(ctx, market_id)
    return [_shown(row) for row in await rows.of_driver(ctx.pool, market_id, driver_id, ROWS_MAX)]


async def in_market(ctx: Context, market_id: str, status: str | None) -> list[wire.DriverDocument]:
    """The work list: up to ROWS_MAX, the longest waiting first."""
    await markets.require(ctx, market_id)
    return [_shown(row) for row in await rows.in_market(ctx.pool, market_id, status, ROWS_MAX)]


def _shown(row: Record) -> wire.DriverDocument:
    return msgspec.convert(dict(row.items()), wire.DriverDocument)
