"""Texts to a market's drivers: sent in bites, received at once or from the inbox later, counted as a funnel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from flexlive.domain import cells
from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.domain.notices import AudienceKind, cells_from_wire
from flexlive.protocol import ops_market as wire
from flexlive.protocol.views import NoticeView
from flexlive.services import markets
from flexlive.services.causes import Cause
from flexlive.services.context import Context
from flexlive.services.entitlements import BITE_ROWS_MAX
from flexlive.services.tokens import OpsPrincipal
from flexlive.storage import drivers, enrolments, inbox, pilots
from flexlive.storage import notices as rows
from flexlive.storage.events import append
from flexlive.storage.pool import Record
from flexlive.storage.transaction import transaction

NOTICES_ROWS_MAX: Final = 200
_NIL: Final = UUID(int=0)


async def create(ctx: Context, ops: OpsPrincipal, market_id: str, request: wire.CreateNotice) -> wire.Notice:
    """Keep a notice and send it; `send` goes on where this one broke off.

    FlexliveError: market_unknown, not_found (offer type, pilot), invalid (an audience of nobody, an expiry gone by).
    """
    now = ctx.clock()
    if request.expires_at <= now:
        raise FlexliveError(ErrorCode.INVALID, "expires_at lies ahead")
    await _check_audience(ctx, market_id, request.audience)
    if request.offer_type is not None:
        terms = await enrolments.terms_of(ctx.pool, market_id, request.offer_type)
        if terms is None or not terms["active"]:
            raise FlexliveError(ErrorCode.NOT_FOUND, "no such offer type, or it is switched off")
    notice = rows.NewNotice(
        notice_id=ctx.new_id(),
        title=request.title,
        body=request.body,
        action=request.action,
        offer_type=request.offer_type,
        audience=request.audience,
        author=str(ops.subject_id),
        created_at=now,
        expires_at=request.expires_at,
    )
    async with transaction(ctx.pool) as conn:
        await rows.insert(conn, market_id, notice)
    return await send(ctx, market_id, notice.notice_id)


async def send(ctx: Context, market_id: str, notice_id: UUID) -> wire.Notice:
    """To everyone of the audience who has not got it yet, also who joined since; at most BITE_ROWS_MAX a transaction.

    FlexliveError: not_found, expired.
    """
    row = await _row(ctx, market_id, notice_id)
    if row["expires_at"] <= ctx.clock():
        raise FlexliveError(ErrorCode.EXPIRED, "the notice has expired")
    audience = msgspec.convert(row["audience"], wire.Audience)
    view = await _view(ctx, market_id, row)
    resolution = (await markets.get(ctx, market_id)).offer_resolution
    where = cells_from_wire(audience.cells, resolution)
    after = _NIL
    while True:
        page = await rows.recipients(
            ctx.pool,
            market_id,
            notice_id,
            driver_ids=audience.driver_ids if audience.kind == AudienceKind.DRIVERS else None,
            pilot_id=audience.pilot_id if audience.kind == AudienceKind.PILOT else None,
            arm=audience.arm,
            after=after,
            rows_max=BITE_ROWS_MAX,
        )
        if not page:
            return await get(ctx, market_id, notice_id)
        after = page[-1]["driver_id"]
        everywhere = audience.kind != AudienceKind.CELLS
        wanted = [
            each["driver_id"]
            for each in page
            if not each["has_it"] and (everywhere or _cell(ctx, market_id, each, resolution) in where)
        ]
        if wanted:
            await _send_bite(ctx, market_id, view, wanted, row["author"])


async def get(ctx: Context, market_id: str, notice_id: UUID) -> wire.Notice:
    """FlexliveError(not_found)."""
    return _shown(await _row(ctx, market_id, notice_id))


async def latest(ctx: Context, market_id: str) -> list[wire.Notice]:
    """The last NOTICES_ROWS_MAX, newest first."""
    await markets.require(ctx, market_id)
    return [_shown(row) for row in await rows.latest(ctx.pool, market_id, NOTICES_ROWS_MAX)]


async def funnel(ctx: Context, market_id: str, notice_id: UUID) -> wire.Funnel:
    """How many of its receivers saw it, opted in, and have won their first offer. FlexliveError(not_found)."""
    await _row(ctx, market_id, notice_id)
    return shown_funnel(await rows.funnel(ctx.pool, market_id, notice_id))


def shown_funnel(row: Record) -> wire.Funnel:
    """A row of either funnel query."""
    return msgspec.convert(dict(row.items()), wire.Funnel)


async def _send_bite(ctx: Context, market_id: str, view: NoticeView, driver_ids: Sequence[UUID], author: str) -> None:
    now = ctx.clock()
    cause = Cause("ops", author, now, now)
    body: dict[str, Any] = msgspec.to_builtins(view)
    async with transaction(ctx.pool) as conn:
        present = sorted(await drivers.lock(conn, market_id, driver_ids))
        fresh = await rows.insert_receipts(conn, market_id, view.notice_id, present, now)
        if not fresh:
            return
        if view.offer_type is not None:
            await enrolments.invite(conn, market_id, fresh, view.offer_type, now)
        await inbox.put(conn, market_id, fresh, "notice", body, created_at=now, expires_at=view.expires_at)
        events = [cause.event("driver", driver_id, "driver.notice", {"notice": view}) for driver_id in sorted(fresh)]
        await append(conn, market_id, events)
    ctx.committed(market_id)


async def _check_audience(ctx: Context, market_id: str, audience: wire.Audience) -> None:
    market = await markets.get(ctx, market_id)
    match audience.kind:
        case "market":
            named = bool(audience.cells or audience.driver_ids or audience.pilot_id)
            if named:
                raise FlexliveError(ErrorCode.INVALID, "audience.kind says whom it names: market names nobody else")
        case "cells":
            if not cells_from_wire(audience.cells, market.offer_resolution):
                raise FlexliveError(ErrorCode.INVALID, "audience.cells is empty")
        case "drivers":
            if not audience.driver_ids:
                raise FlexliveError(ErrorCode.INVALID, "audience.driver_ids is empty")
        case "pilot":
            pilot_id = audience.pilot_id
            if pilot_id is None or await pilots.get(ctx.pool, market_id, pilot_id) is None:
                raise FlexliveError(ErrorCode.NOT_FOUND, "no such pilot")


async def _row(ctx: Context, market_id: str, notice_id: UUID) -> Record:
    await markets.require(ctx, market_id)
    row = await rows.get(ctx.pool, market_id, notice_id)
    if row is None:
        raise FlexliveError(ErrorCode.NOT_FOUND, "no such notice")
    return row


async def _view(ctx: Context, market_id: str, row: Record) -> NoticeView:
    offer_type = row["offer_type"]
    terms = None if offer_type is None else await enrolments.terms_of(ctx.pool, market_id, offer_type)
    return NoticeView(
        notice_id=row["notice_id"],
        title=row["title"],
        body=row["body"],
        action=row["action"],
        offer_type=offer_type,
        terms_version=None if terms is None else terms["terms_version"],
        expires_at=row["expires_at"],
    )


def _cell(ctx: Context, market_id: str, row: Record, resolution: int) -> int | None:
    """Where the driver was last: in this process' memory, else as stored."""
    present = ctx.presence.get(market_id, row["driver_id"])
    if present is not None:
        return cells.cell_of(present.position.lat, present.position.lon, resolution)
    return None if row["lat"] is None else cells.cell_of(row["lat"], row["lon"], resolution)


def _shown(row: Record) -> wire.Notice:
    return msgspec.convert(dict(row.items()), wire.Notice)
