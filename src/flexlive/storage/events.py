"""What happened: appending to streams.

A stream's counter is a column of its entity's own row, so whoever appends holds that row until the end of the
transaction: within a stream, seq, event_id and commit order agree. The relay reads rows in (xid, event_id) order, so
`append` keeps one law: no event has a smaller xid than its predecessor in the stream. Nothing else inserts events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast
from uuid import UUID

import asyncpg  # pyright: ignore[reportMissingTypeStubs]
import msgspec

from flexlive.storage import queries
from flexlive.storage.pool import Connection

StreamKind = Literal["offer", "delivery", "route", "driver", "track"]
ActorType = Literal["driver", "merchant", "store", "customer", "ops", "system"]

_sql = queries.load("events")
_encode = msgspec.json.Encoder().encode


class EntityMissingError(Exception):
    """An event was meant for a driver, offer, delivery or route that is not in this market; nothing was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """One fact to be. `entity_id` names the row whose counter numbers it; for "track" that is the delivery."""

    stream_kind: StreamKind
    entity_id: UUID
    kind: str
    actor_type: ActorType
    actor_id: str | None = None
    reason_code: str | None = None
    occurred_at: datetime
    received_at: datetime
    data: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Appended:
    """Where an event landed. `stream` is `<stream_kind>:<entity_id>`, `seq` its gap-free place there."""

    event_id: int
    stream: str
    seq: int


async def append(connection: Connection, market_id: str, events: Sequence[NewEvent]) -> list[Appended]:
    """Bump the counters and insert the events, in input order; the answer is in input order too.

    Belongs inside a transaction that locked the entities before (driver → offer → delivery → route, each in id
    order); without that it is still right, but costs a second statement whenever it had to wait. Facts of one call
    reach the relay together. Call `ctx.committed(market_id)` after the commit.

    Raises EntityMissingError (the transaction is then spent), or asyncpg.PostgresError.
    """
    if not events:
        return []
    try:
        rows = await connection.fetch(
            *_sql.append_events.bind(
                market_id=market_id,
                stream_kinds=[event.stream_kind for event in events],
                entity_ids=[event.entity_id for event in events],
                kinds=[event.kind for event in events],
                actor_types=[event.actor_type for event in events],
                actor_ids=[event.actor_id for event in events],
                reason_codes=[event.reason_code for event in events],
                occurred_ats=[event.occurred_at for event in events],
                received_ats=[event.received_at for event in events],
                bodies=[_encode(event.data).decode() for event in events],
            )
        )
    except asyncpg.NotNullViolationError as error:
        if cast("Any", error).column_name != "seq":
            raise
        raise EntityMissingError(
            f"{market_id}: {sorted({(e.stream_kind, str(e.entity_id)) for e in events})}"
        ) from error
    appended = [Appended(row["event_id"], row["stream"], row["seq"]) for row in rows]
    if rows[0]["unlinked"]:
        await connection.execute(
            *_sql.relink_events.bind(
                market_id=market_id,
                streams=[place.stream for place in appended],
                seqs=[place.seq for place in appended],
                event_ids=[place.event_id for place in appended],
            )
        )
    return appended
