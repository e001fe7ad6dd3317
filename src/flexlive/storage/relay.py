"""Reading committed events in the one order that loses none: (xid, event_id), below the oldest running transaction.

Why it is safe, in three steps. `events.append` never gives an event a smaller xid than its predecessor in the stream,
and event_id rises within a stream, so (xid, event_id) order never contradicts a stream. A row's xid is at least its
writer's, and below pg_snapshot_xmin every writer has ended, so no row can still appear below xmin. Hence what is read
below xmin is final, and (after, upto] read again at any time is exactly what was published.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from flexlive.storage import queries
from flexlive.storage.pool import Executor, Pool, Record

_sql = queries.load("relay")

# (xid, event_id)
Cursor: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class StoredPosition:
    """Everything at or before `cursor` has been published, by a relay whose lease had this term (0: nobody yet)."""

    system_identifier: int
    term: int
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as the relay needs it; `data` is JSON text."""

    event_id: int
    xid: int
    stream: str
    seq: int
    kind: str
    occurred_at: datetime
    data: str


@dataclass(frozen=True, slots=True)
class FinalEvents:
    """Events after a cursor that are final, in order.

    scanned: nothing at or before it is left to read. withheld: more are committed but wait for an older transaction.
    xmin: the oldest running transaction; held: whether it holds up any that began later and has ended.
    """

    events: list[StoredEvent]
    scanned: Cursor
    full: bool
    withheld: bool
    xmin: int
    held: bool


async def ensure_position(pool: Pool, market_id: str) -> StoredPosition:
    """The market's position in this cluster; made when there is none or it is another cluster's.

    Making one counts all present events as done: call it before state is read and before sockets are accepted.
    Raises asyncpg.ForeignKeyViolationError for an unknown market.
    """
    found = await _stored(pool, market_id)
    if found is not None:
        return found
    async with pool.acquire() as connection:
        async with connection.transaction():
            await connection.execute(*_sql.lock_events.bind())
            await connection.execute(*_sql.rebase.bind(market_id=market_id))
        found = await _stored(connection, market_id)
    assert found is not None, "rebase leaves a row of this cluster"
    return found


async def _stored(executor: Executor, market_id: str) -> StoredPosition | None:
    row = await executor.fetchrow(*_sql.stored_position.bind(market_id=market_id))
    if row is None or not row["ours"]:
        return None
    return StoredPosition(row["system_identifier"], row["term"], (row["xid"], row["event_id"]))


async def head(pool: Pool, market_id: str) -> StoredPosition:
    """Where a receiver starts that reads its state afterwards: the last final event, whoever has published it."""
    await ensure_position(pool, market_id)
    row = await pool.fetchrow(*_sql.head.bind(market_id=market_id))
    assert row is not None, "ensure_position leaves a row"
    return StoredPosition(row["system_identifier"], 0, (row["xid"], row["event_id"]))


async def final_events(executor: Executor, market_id: str, after: Cursor, events_max: int) -> FinalEvents:
    """The next final events; one statement, so rows and xmin are of one snapshot."""
    rows = await executor.fetch(
        *_sql.final_events.bind(market_id=market_id, after_xid=after[0], after_event_id=after[1], events_max=events_max)
    )
    xmin, xmax = rows[0]["xmin"], rows[0]["xmax"]
    events = [] if rows[0]["event_id"] is None else [_event(row) for row in rows]
    full = len(events) == events_max
    return FinalEvents(
        events=events,
        scanned=(events[-1].xid, events[-1].event_id) if full else max(after, (xmin, 0)),
        full=full,
        withheld=rows[0]["withheld"],
        xmin=xmin,
        held=xmin < xmax,
    )


async def events_between(
    executor: Executor, market_id: str, after: Cursor, upto: Cursor, events_max: int
) -> list[StoredEvent]:
    """The events of `(after, upto]`, the first events_max of them; upto comes from a published message."""
    rows = await executor.fetch(
        *_sql.events_between.bind(
            market_id=market_id,
            after_xid=after[0],
            after_event_id=after[1],
            upto_xid=upto[0],
            upto_event_id=upto[1],
            events_max=events_max,
        )
    )
    return [_event(row) for row in rows]


async def store_position(executor: Executor, market_id: str, position: StoredPosition) -> bool:
    """False when a later term has written, or the cluster changed: this relay is over."""
    row = await executor.fetchrow(
        *_sql.store_position.bind(
            market_id=market_id,
            system_identifier=position.system_identifier,
            term=position.term,
            xid=position.cursor[0],
            event_id=position.cursor[1],
        )
    )
    return row is not None


def _event(row: Record) -> StoredEvent:
    return StoredEvent(
        row["event_id"], row["xid"], row["stream"], row["seq"], row["kind"], row["occurred_at"], row["data"]
    )
