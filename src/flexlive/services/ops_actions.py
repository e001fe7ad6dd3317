"""An operator's action: one transaction that does it and says who, what and why.

With an Idempotency-Key the action's id follows from operator and key, and its row is the transaction's first write: a
repeated request gets the stored answer, a twin waits for it, and other content under the same key is a conflict.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast
from uuid import UUID, uuid5

import msgspec

from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.protocol import ops_actions as wire
from flexlive.services.answers import Answer
from flexlive.services.causes import Cause
from flexlive.services.context import Context
from flexlive.services.tokens import OpsPrincipal
from flexlive.storage import ops_actions as rows
from flexlive.storage.ops_actions import NewAction
from flexlive.storage.pool import Connection, Record
from flexlive.storage.transaction import transaction

ACTIONS_ROWS_MAX: Final = 500
_encoder = msgspec.json.Encoder(order="deterministic")

Result: TypeAlias = Mapping[str, Any]
Work: TypeAlias = Callable[[Connection, Cause], Awaitable[Result]]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpsCall:
    """Who asks for what about which subject, and why. idempotency_key: as the request's header had it."""

    ops: OpsPrincipal
    market_id: str
    action: str
    subject_kind: wire.SubjectKind
    subject_id: UUID
    body: wire.Reasoned
    idempotency_key: str | None = None


async def carry_out(ctx: Context, call: OpsCall, work: Work) -> wire.Action:
    """Do it in one transaction with its audit row; the answer, or the stored one of a repeated request.

    work: runs in the transaction, raises FlexliveError to refuse (nothing is written then) and returns what it did.
    FlexliveError: market_unknown, conflict (the key was used for something else), unavailable (it would not stand
    still), and what work refuses.
    """
    await ctx.rules.get(ctx.pool, call.market_id, ctx.monotonic())
    now = ctx.clock()
    key = call.idempotency_key
    action = NewAction(
        action_id=ctx.new_id() if key is None else uuid5(call.ops.subject_id, key),
        ops_id=call.ops.subject_id,
        action=call.action,
        subject_kind=call.subject_kind,
        subject_id=str(call.subject_id),
        reason_code=call.body.reason_code.value,
        note=call.body.note,
        created_at=now,
    )
    asked = _sha256(call)
    async with transaction(ctx.pool) as conn:
        if not await rows.begin(conn, call.market_id, action):
            return await _repeated(conn, call.market_id, action.action_id, asked)
        result = await work(conn, Cause("ops", str(call.ops.subject_id), now, now, action.reason_code))
        await rows.finish(conn, call.market_id, action.action_id, {"request_sha256": asked, "result": result})
        stored = await rows.get(conn, call.market_id, action.action_id)
    ctx.committed(call.market_id)
    if stored is None:
        raise AssertionError("an action just written is not there")
    return view(stored)


def require(answer: Answer) -> None:
    """FlexliveError for an answer that refuses; its present status becomes the member `delivery_status`."""
    if not answer.ok:
        current = dict(answer.current or {})
        if "status" in current:
            current["delivery_status"] = current.pop("status")
        raise FlexliveError(ErrorCode(answer.code), **current)


def illegal(status: str, detail: str) -> FlexliveError:
    """illegal_transition with the status that stood in the way."""
    return FlexliveError(ErrorCode.ILLEGAL_TRANSITION, detail, delivery_status=status)


async def about(ctx: Context, market_id: str, subject_id: UUID) -> list[wire.Action]:
    """Every action about a delivery, driver, stop or alert, oldest first."""
    await ctx.rules.get(ctx.pool, market_id, ctx.monotonic())
    return [view(row) for row in await rows.about(ctx.pool, market_id, [str(subject_id)], ACTIONS_ROWS_MAX)]


def view(row: Record) -> wire.Action:
    """The wire's action."""
    detail = cast("dict[str, Any]", row["detail"])
    columns: dict[str, Any] = {**dict(row.items()), "result": detail.get("result", {})}
    return msgspec.convert(columns, wire.Action)


async def _repeated(conn: Connection, market_id: str, action_id: UUID, asked: str) -> wire.Action:
    stored = await rows.get(conn, market_id, action_id)
    if stored is None or cast("dict[str, Any]", stored["detail"]).get("request_sha256") != asked:
        raise FlexliveError(ErrorCode.CONFLICT, "this Idempotency-Key was used for another action")
    return view(stored)


def _sha256(call: OpsCall) -> str:
    asked = (call.action, call.subject_kind, call.subject_id, call.body)
    return hashlib.sha256(_encoder.encode(asked)).hexdigest()
