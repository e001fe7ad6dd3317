"""Stores what apps say they have shown: notices and offers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from flexlive.realtime.receipts import Receipt, Receipts
from flexlive.services.context import Context
from flexlive.storage import notices, wake_rings
from flexlive.storage.pool import Connection
from flexlive.storage.transaction import transaction


async def write(ctx: Context, rows_max: int) -> int:
    """Store some of what waits, at most rows_max of each kind; how many were taken."""
    taken = await _write(ctx, ctx.seen_notices, rows_max, _notices)
    return taken + await _write(ctx, ctx.seen_offers, rows_max, _offers)


async def _write(
    ctx: Context,
    receipts: Receipts,
    rows_max: int,
    store: Callable[[Connection, Sequence[Receipt]], Awaitable[None]],
) -> int:
    taken = receipts.drain(rows_max)
    if taken:
        try:
            async with transaction(ctx.pool, durable=False) as conn:
                await store(conn, taken)
        except BaseException:
            receipts.give_back(taken)
            raise
    return len(taken)


async def _notices(conn: Connection, taken: Sequence[Receipt]) -> None:
    seen = [notices.Seen(each.market_id, each.subject_id, each.driver_id, each.at) for each in taken]
    await notices.mark_seen(conn, seen)


async def _offers(conn: Connection, taken: Sequence[Receipt]) -> None:
    seen = [wake_rings.SeenOffer(each.market_id, each.subject_id, each.driver_id, each.at) for each in taken]
    await wake_rings.insert_seen(conn, seen)
