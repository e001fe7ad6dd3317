"""Where storage and realtime meet: a market's facts from PostgreSQL, in the shape of the relay chain."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import Raw

from flexlive.realtime.chain import FactRow, Position
from flexlive.realtime.receiver import ChainStart, FactPage
from flexlive.storage import relay
from flexlive.storage.pool import Pool


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """The FactSource of a ChainSubscriber; raises asyncpg.PostgresError, OSError, TimeoutError."""

    pool: Pool
    market_id: str
    page_events_max: int = 500

    async def head(self) -> ChainStart:
        stored = await relay.head(self.pool, self.market_id)
        return ChainStart(Position(*stored.cursor), stored.system_identifier)

    async def read(self, after: Position, upto: Position | None) -> FactPage:
        cursor = (after.xid, after.event_id)
        if upto is None:
            final = await relay.final_events(self.pool, self.market_id, cursor, self.page_events_max)
            events = final.events
        else:
            events = await relay.events_between(
                self.pool, self.market_id, cursor, (upto.xid, upto.event_id), self.page_events_max
            )
        return FactPage(fact_rows(self.market_id, events), len(events) == self.page_events_max)


def fact_rows(market_id: str, events: list[relay.StoredEvent]) -> list[FactRow]:
    """Stored events as the chain carries them."""
    return [
        FactRow(
            market_id,
            event.event_id,
            event.xid,
            event.stream,
            event.seq,
            event.kind,
            event.occurred_at,
            Raw(event.data),
        )
        for event in events
    ]
