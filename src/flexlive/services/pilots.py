"""Pilots: who takes part, and the switch that stops new offers at once and lets routes finish."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.domain.pilots import PilotArm, arm_of, status_of
from flexlive.protocol import ops_market as wire
from flexlive.protocol.ops_actions import Reasoned
from flexlive.services import entitlements, markets
from flexlive.services.causes import Cause, by_system
from flexlive.services.context import Context
from flexlive.services.entitlements import BITE_ROWS_MAX
from flexlive.services.tokens import OpsPrincipal
from flexlive.storage import drivers, enrolments, merchants, ops_actions
from flexlive.storage import markets as market_rows
from flexlive.storage import pilots as rows
from flexlive.storage.events import append
from flexlive.storage.ops_actions import NewAction
from flexlive.storage.pool import Connection, Record
from flexlive.storage.transaction import transaction

_NIL: Final = UUID(int=0)


async def create(ctx: Context, market_id: str, request: wire.CreatePilot) -> wire.Pilot:
    """A pilot with its arms.

    FlexliveError: market_unknown, not_found (offer type, site, merchant, driver), invalid (dates, arms), conflict with
    the pilot_id there is for a name that is taken.
    """
    await markets.require(ctx, market_id)
    now = ctx.clock()
    starts_at = request.starts_at or now
    if request.ends_at <= max(starts_at, now):
        raise FlexliveError(ErrorCode.INVALID, "ends_at lies ahead and after starts_at")
    _check_arms(request)
    await _check_scope(ctx, market_id, request)
    await _check_drivers(ctx, market_id, [*request.cohort, *request.control])
    pilot = rows.NewPilot(
        pilot_id=ctx.new_id(),
        name=request.name,
        offer_type=request.offer_type,
        site_ids=request.site_ids,
        merchant_ids=request.merchant_ids,
        starts_at=starts_at,
        ends_at=request.ends_at,
        created_at=now,
    )
    async with transaction(ctx.pool) as conn:
        inserted = await rows.insert(conn, market_id, pilot)
    if not inserted:
        taken = await rows.named(ctx.pool, market_id, request.name)
        raise FlexliveError(ErrorCode.CONFLICT, "the market has a pilot of this name", pilot_id=taken)
    return await _fill(ctx, market_id, pilot.pilot_id, request)


async def add_members(ctx: Context, market_id: str, pilot_id: UUID, request: wire.AddMembers) -> wire.Pilot:
    """More drivers; who is in an arm stays there. FlexliveError: not_found, invalid."""
    await get(ctx, market_id, pilot_id)
    _check_arms(request)
    await _check_drivers(ctx, market_id, [*request.cohort, *request.control])
    return await _fill(ctx, market_id, pilot_id, request)


async def get(ctx: Context, market_id: str, pilot_id: UUID) -> wire.Pilot:
    """FlexliveError(not_found)."""
    await markets.require(ctx, market_id)
    row = await rows.get(ctx.pool, market_id, pilot_id)
    if row is None:
        raise FlexliveError(ErrorCode.NOT_FOUND, "no such pilot")
    return _shown(row, ctx.clock())


async def every(ctx: Context, market_id: str) -> list[wire.Pilot]:
    """Oldest first."""
    await markets.require(ctx, market_id)
    return [_shown(row, ctx.clock()) for row in await rows.every(ctx.pool, market_id)]


async def kill(ctx: Context, ops: OpsPrincipal, market_id: str, pilot_id: UUID, request: Reasoned) -> wire.PilotKilled:
    """Stop it: when this returns no offer of its work is open and none opens until it is resumed; orders are refused;
    accepted routes go on. Stopping it twice changes nothing. FlexliveError(not_found)."""
    await get(ctx, market_id, pilot_id)
    now = ctx.clock()
    withdrawn: list[UUID] = []
    async with transaction(ctx.pool) as conn:
        # Waits for a dispatcher that is opening offers just now; what it opened is seen below.
        killed = await rows.kill(conn, market_id, pilot_id, request.reason_code.value, now)
        if killed:
            withdrawn = await rows.withdraw_offers(conn, market_id, pilot_id, now)
            cause = Cause("ops", str(ops.subject_id), now, now, request.reason_code.value)
            events = [
                cause.event("offer", offer_id, "offer.withdrawn", {"offer_id": offer_id}) for offer_id in withdrawn
            ]
            await append(conn, market_id, events)
            await _audit(ctx, conn, ops, market_id, "kill_pilot", pilot_id, request, len(withdrawn))
    if killed:
        ctx.committed(market_id)
    return wire.PilotKilled(pilot=await get(ctx, market_id, pilot_id), offers_withdrawn=len(withdrawn))


async def resume(ctx: Context, ops: OpsPrincipal, market_id: str, pilot_id: UUID, request: Reasoned) -> wire.Pilot:
    """Take the stop back; what waited is offered with the dispatcher's next look. FlexliveError(not_found)."""
    await get(ctx, market_id, pilot_id)
    async with transaction(ctx.pool) as conn:
        if await rows.resume(conn, market_id, pilot_id):
            await _audit(ctx, conn, ops, market_id, "resume_pilot", pilot_id, request, 0)
    return await get(ctx, market_id, pilot_id)


async def _fill(ctx: Context, market_id: str, pilot_id: UUID, request: wire.AddMembers) -> wire.Pilot:
    named = [(each, PilotArm.COHORT) for each in request.cohort] + [
        (each, PilotArm.CONTROL) for each in request.control
    ]
    for start in range(0, len(named), BITE_ROWS_MAX):
        await _add_bite(ctx, market_id, pilot_id, named[start : start + BITE_ROWS_MAX])
    split = request.split
    if split is not None:
        async for page in _drivers(ctx, market_id):
            drawn = [(each, arm_of(pilot_id, each, split.cohort_share, split.control_share)) for each in page]
            await _add_bite(ctx, market_id, pilot_id, [(each, arm) for each, arm in drawn if arm is not None])
    return await get(ctx, market_id, pilot_id)


async def _drivers(ctx: Context, market_id: str) -> AsyncGenerator[list[UUID]]:
    after = _NIL
    while page := await rows.drivers_after(ctx.pool, market_id, after, BITE_ROWS_MAX):
        yield page
        after = page[-1]


async def _add_bite(ctx: Context, market_id: str, pilot_id: UUID, members: Sequence[tuple[UUID, PilotArm]]) -> None:
    if not members:
        return
    async with transaction(ctx.pool) as conn:
        await drivers.lock(conn, market_id, sorted({driver_id for driver_id, _ in members}))
        pairs = [(driver_id, arm.value) for driver_id, arm in members]
        added = await rows.insert_members(conn, market_id, pilot_id, pairs)
        await entitlements.tell(conn, market_id, sorted(added), by_system(ctx.clock()))
    if added:
        ctx.committed(market_id)


def _check_arms(request: wire.AddMembers) -> None:
    if set(request.cohort) & set(request.control):
        raise FlexliveError(ErrorCode.INVALID, "a driver is in one arm, not in both")
    split = request.split
    if split is not None and split.cohort_share + split.control_share > 1:
        raise FlexliveError(ErrorCode.INVALID, "cohort_share and control_share add up to more than 1")


async def _check_scope(ctx: Context, market_id: str, request: wire.CreatePilot) -> None:
    if await enrolments.terms_of(ctx.pool, market_id, request.offer_type) is None:
        raise FlexliveError(ErrorCode.NOT_FOUND, "no such offer type")
    known = {site["site_id"] for site in await market_rows.sites(ctx.pool, market_id)}
    if not set(request.site_ids) <= known:
        raise FlexliveError(ErrorCode.NOT_FOUND, "no such site in this market")
    for merchant_id in request.merchant_ids:
        if not await merchants.exists(ctx.pool, merchant_id):
            raise FlexliveError(ErrorCode.NOT_FOUND, "no such merchant")


async def _check_drivers(ctx: Context, market_id: str, driver_ids: Sequence[UUID]) -> None:
    if driver_ids and len(await enrolments.entitlements(ctx.pool, market_id, driver_ids)) < len(set(driver_ids)):
        raise FlexliveError(ErrorCode.NOT_FOUND, "not all of these are drivers of this market")


async def _audit(
    ctx: Context,
    conn: Connection,
    ops: OpsPrincipal,
    market_id: str,
    action: str,
    pilot_id: UUID,
    request: Reasoned,
    offers_withdrawn: int,
) -> None:
    told = NewAction(
        action_id=ctx.new_id(),
        ops_id=ops.subject_id,
        action=action,
        subject_kind="pilot",
        subject_id=str(pilot_id),
        reason_code=request.reason_code.value,
        note=request.note,
        created_at=ctx.clock(),
    )
    await ops_actions.insert(conn, market_id, told, {"result": {"offers_withdrawn": offers_withdrawn}})


def _shown(row: Record, now: datetime) -> wire.Pilot:
    status = status_of(row["starts_at"], row["ends_at"], row["killed_at"], now)
    return msgspec.convert({**dict(row.items()), "status": status.value}, wire.Pilot)
