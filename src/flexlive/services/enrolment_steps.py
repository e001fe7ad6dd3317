"""Where a driver stands with an offer type, moved along its machine: by the driver, by operators, by documents."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from flexlive.domain.enrolments import (
    Enrolment,
    EnrolmentStatus,
    Moved,
    Refusal,
    Refused,
    on_answer,
    on_documents,
    on_ops,
)
from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.protocol import ops_market as wire
from flexlive.protocol.driver import EnrolmentAnswer
from flexlive.protocol.views import EnrolmentView
from flexlive.services import entitlements, markets
from flexlive.services.answers import Answer
from flexlive.services.causes import Cause, by_driver
from flexlive.services.context import Context
from flexlive.services.drivers import DriverPrincipal
from flexlive.services.tokens import OpsPrincipal
from flexlive.storage import drivers, notices, ops_actions
from flexlive.storage import enrolments as rows
from flexlive.storage.ops_actions import NewAction
from flexlive.storage.pool import Connection, Executor, Record
from flexlive.storage.transaction import transaction

PAGE_ROWS_MAX: Final = 500


async def answer(conn: Connection, principal: DriverPrincipal, command: EnrolmentAnswer, now: datetime) -> Answer:
    """A driver's yes or no to the terms in force. The caller holds the driver's row.

    not_found: no such offer type, or it is switched off. conflict: the terms are others by now. not_eligible: not
    invited, or suspended. illegal_transition: a no in the middle of handing in papers.
    """
    market_id, driver_id = principal.market_id, principal.driver_id
    terms = await rows.terms_of(conn, market_id, command.offer_type)
    if terms is None or not terms["active"]:
        return Answer("not_found")
    if command.accept and command.terms_version != terms["terms_version"]:
        return Answer("conflict", {"terms_version": terms["terms_version"]})
    row = await _one(conn, market_id, driver_id, command.offer_type)
    verdict = on_answer(
        _enrolment(row), accept=command.accept, documents_complete=row is not None and not row["documents_missing"]
    )
    if row is None or isinstance(verdict, Refused):
        return _refusal(verdict, row)
    accepted = command.terms_version if command.accept else None
    view = await _move(conn, market_id, row, verdict, now, terms_version=accepted)
    await notices.mark_acted(conn, market_id, driver_id, command.offer_type, now)
    await entitlements.tell_enrolments(
        conn, market_id, driver_id, {view.offer_type: view}, by_driver(driver_id, now, now), keep=False
    )
    return Answer("ok", {"status": view.status, "documents_missing": list(view.documents_missing)})


async def put(
    ctx: Context, ops: OpsPrincipal, market_id: str, driver_id: UUID, offer_type: str, request: wire.PutEnrolment
) -> wire.Enrolment:
    """An operator invites, suspends or reinstates. FlexliveError: not_found, illegal_transition with the status."""
    await markets.require(ctx, market_id)
    now = ctx.clock()
    cause = Cause("ops", str(ops.subject_id), now, now, request.reason_code.value)
    async with transaction(ctx.pool) as conn:
        if not await drivers.lock(conn, market_id, [driver_id]):
            raise FlexliveError(ErrorCode.NOT_FOUND, "no such driver")
        if await rows.terms_of(conn, market_id, offer_type) is None:
            raise FlexliveError(ErrorCode.NOT_FOUND, "no such offer type")
        row = await _one(conn, market_id, driver_id, offer_type)
        verdict = on_ops(_enrolment(row), EnrolmentStatus(request.status), request.reason_code.value)
        if isinstance(verdict, Refused):
            raise FlexliveError(
                ErrorCode.ILLEGAL_TRANSITION,
                "only active and suspended become one another, and only who has no enrolment is invited",
                enrolment_status=None if row is None else row["status"],
            )
        if row is None:
            await rows.invite(conn, market_id, [driver_id], offer_type, now)
            view = await _view(conn, market_id, driver_id, offer_type)
        else:
            view = await _move(conn, market_id, row, verdict, now)
        await entitlements.tell_enrolments(conn, market_id, driver_id, {offer_type: view}, cause, keep=True)
        await _audit(ctx, conn, ops, market_id, driver_id, request, {"offer_type": offer_type, "status": view.status})
        shown = await _one(conn, market_id, driver_id, offer_type)
    ctx.committed(market_id)
    assert shown is not None
    return _shown(shown)


async def after_document(
    conn: Connection, market_id: str, driver_id: UUID, document: str, cause: Cause, now: datetime
) -> None:
    """A document was decided on: enrolments that waited for it alone become active, and the driver learns.

    The caller holds the driver's row."""
    changed: dict[str, EnrolmentView] = {}
    for row in await rows.page(conn, market_id, driver_id=driver_id, rows_max=PAGE_ROWS_MAX):
        if document in row["documents_required"]:
            verdict = on_documents(_enrolment_of(row), complete=not row["documents_missing"])
            changed[row["offer_type"]] = await _move(conn, market_id, row, verdict, now)
    if changed:
        await entitlements.tell_enrolments(conn, market_id, driver_id, changed, cause, keep=True)


async def of_driver(ctx: Context, market_id: str, driver_id: UUID) -> list[wire.Enrolment]:
    """Where one driver stands, by offer type."""
    await markets.require(ctx, market_id)
    return [_shown(row) for row in await rows.page(ctx.pool, market_id, driver_id=driver_id, rows_max=PAGE_ROWS_MAX)]


async def of_offer_type(
    ctx: Context, market_id: str, offer_type: str, status: str | None, after: UUID | None
) -> wire.EnrolmentPage:
    """Up to PAGE_ROWS_MAX drivers of an offer type, after an id."""
    await markets.require(ctx, market_id)
    found = await rows.page(
        ctx.pool, market_id, offer_type=offer_type, status=status, after=after, rows_max=PAGE_ROWS_MAX
    )
    page = tuple(_shown(row) for row in found)
    return wire.EnrolmentPage(enrolments=page, next_after=page[-1].driver_id if len(page) == PAGE_ROWS_MAX else None)


async def _one(conn: Executor, market_id: str, driver_id: UUID, offer_type: str) -> Record | None:
    found = await rows.page(conn, market_id, driver_id=driver_id, offer_type=offer_type, rows_max=1)
    return found[0] if found else None


async def _view(conn: Executor, market_id: str, driver_id: UUID, offer_type: str) -> EnrolmentView:
    row = await _one(conn, market_id, driver_id, offer_type)
    assert row is not None
    names = ("offer_type", "status", "terms_version", "terms_version_now", "documents_missing", "reason")
    return msgspec.convert({name: row[name] for name in names}, EnrolmentView)


async def _move(
    conn: Connection, market_id: str, row: Record, verdict: Moved, now: datetime, *, terms_version: int | None = None
) -> EnrolmentView:
    before = EnrolmentStatus(row["status"])
    moved = await rows.move(
        conn,
        market_id,
        row["driver_id"],
        row["offer_type"],
        from_status=before.value,
        to_status=verdict.status_after(before).value,
        terms_version=terms_version,
        reason=verdict.reason,
        interested=EnrolmentStatus.INTERESTED in verdict.path,
        at=now,
    )
    if not moved:
        # The driver's row is held by everyone who moves an enrolment.
        raise AssertionError("an enrolment moved under its lock")
    return await _view(conn, market_id, row["driver_id"], row["offer_type"])


async def _audit(
    ctx: Context,
    conn: Connection,
    ops: OpsPrincipal,
    market_id: str,
    driver_id: UUID,
    request: wire.PutEnrolment,
    result: dict[str, Any],
) -> None:
    action = NewAction(
        action_id=ctx.new_id(),
        ops_id=ops.subject_id,
        action="put_enrolment",
        subject_kind="driver",
        subject_id=str(driver_id),
        reason_code=request.reason_code.value,
        note=request.note,
        created_at=ctx.clock(),
    )
    await ops_actions.insert(conn, market_id, action, {"result": result})


def _enrolment_of(row: Record) -> Enrolment:
    return Enrolment(EnrolmentStatus(row["status"]), row["reason"])


def _enrolment(row: Record | None) -> Enrolment | None:
    return None if row is None else _enrolment_of(row)


def _refusal(verdict: Moved | Refused, row: Record | None) -> Answer:
    refusal = verdict.refusal if isinstance(verdict, Refused) else Refusal.NOT_INVITED
    if refusal is Refusal.ILLEGAL and row is not None:
        return Answer("illegal_transition", {"status": row["status"]})
    return Answer("not_eligible", {"reason": refusal.value})


def _shown(row: Record) -> wire.Enrolment:
    return msgspec.convert(dict(row.items()), wire.Enrolment)
