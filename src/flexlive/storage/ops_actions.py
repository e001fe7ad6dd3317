"""What operators did and why, as rows written in the transaction of what they did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from flexlive.storage.pool import Connection, Executor, Record
from flexlive.storage.queries import load

_sql = load("ops_actions")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAction:
    action_id: UUID
    ops_id: UUID
    action: str
    subject_kind: str
    subject_id: str
    reason_code: str
    note: str
    created_at: datetime


async def begin(conn: Connection, market_id: str, action: NewAction) -> bool:
    """False when an action with this id is there already; one that is being carried out is waited for."""
    row = await conn.fetchrow(
        *_sql.begin_action.bind(
            market_id=market_id,
            action_id=action.action_id,
            ops_id=action.ops_id,
            action=action.action,
            subject_kind=action.subject_kind,
            subject_id=action.subject_id,
            reason_code=action.reason_code,
            note=action.note,
            created_at=action.created_at,
        )
    )
    return row is not None


async def insert(conn: Connection, market_id: str, action: NewAction, detail: Mapping[str, object]) -> None:
    """An action with what it did, in one write; for those that are naturally done once. detail: `{"result": …}`."""
    await conn.execute(
        *_sql.insert_action.bind(
            market_id=market_id,
            action_id=action.action_id,
            ops_id=action.ops_id,
            action=action.action,
            subject_kind=action.subject_kind,
            subject_id=action.subject_id,
            reason_code=action.reason_code,
            note=action.note,
            detail=detail,
            created_at=action.created_at,
        )
    )


async def finish(conn: Connection, market_id: str, action_id: UUID, detail: Mapping[str, object]) -> None:
    """Keep what it did; in the transaction that began it."""
    await conn.execute(*_sql.finish_action.bind(market_id=market_id, action_id=action_id, detail=detail))


async def get(conn: Executor, market_id: str, action_id: UUID) -> Record | None:
    return await conn.fetchrow(*_sql.action.bind(market_id=market_id, action_id=action_id))


async def about(conn: Executor, market_id: str, subject_ids: Sequence[str], rows_max: int) -> list[Record]:
    """The actions about these subjects, oldest first."""
    return await conn.fetch(*_sql.actions_about.bind(market_id=market_id, subject_ids=subject_ids, rows_max=rows_max))
