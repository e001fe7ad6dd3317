"""The whole story of a delivery in one answer, for whoever has to understand what happened."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.protocol import ops_actions as wire
from flexlive.services import alerts, ops_actions
from flexlive.services.context import Context
from flexlive.storage import stories as rows
from flexlive.storage.pool import Record

ROWS_MAX: Final = 5_000
"""Of events, and of actions; a delivery has a few dozen of each."""


async def tell(ctx: Context, market_id: str, delivery_id: UUID) -> wire.Story:
    """As of one moment. FlexliveError(market_unknown, not_found)."""
    await ctx.rules.get(ctx.pool, market_id, ctx.monotonic())
    async with ctx.pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        found = await rows.read(conn, market_id, delivery_id, ROWS_MAX)
    if found is None:
        raise FlexliveError(ErrorCode.NOT_FOUND)
    decisions = _by(found.decisions, "offer_id")
    stops = _by(found.stops, "route_id")
    return wire.Story(
        delivery=_plain(found.delivery),
        packages=tuple(_plain(row) for row in found.packages),
        events=tuple(_plain(row) for row in found.events),
        offers=tuple({**_plain(row), "decisions": decisions[row["offer_id"]]} for row in found.offers),
        routes=tuple({**_plain(row), "stops": stops[row["route_id"]]} for row in found.routes),
        check_ins=tuple(_plain(row) for row in found.check_ins),
        proofs=tuple(_plain(row) for row in found.proofs),
        ledger=tuple(_plain(row) for row in found.ledger),
        alerts=tuple(alerts.view(row) for row in found.alerts),
        actions=tuple(ops_actions.view(row) for row in found.actions),
    )


def _plain(row: Record) -> dict[str, Any]:
    return dict(row.items())


def _by(found: Sequence[Record], key: str) -> defaultdict[UUID, list[dict[str, Any]]]:
    grouped: defaultdict[UUID, list[dict[str, Any]]] = defaultdict(list)
    for row in found:
        grouped[row[key]].append(_plain(row))
    return grouped
