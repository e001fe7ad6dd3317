"""What drivers may be shown, told on their own streams, so that open sockets follow what was decided elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

import msgspec

from flexlive.protocol.views import EnrolmentView
from flexlive.services.causes import Cause, by_system
from flexlive.services.context import Context
from flexlive.storage import drivers, inbox
from flexlive.storage import enrolments as rows
from flexlive.storage.events import append
from flexlive.storage.pool import Connection
from flexlive.storage.transaction import transaction

BITE_ROWS_MAX: Final = 500
"""Drivers in one transaction: the relay waits for the oldest running one."""
INBOX_DAYS: Final = 30
_NIL: Final = UUID(int=0)


async def tell(conn: Connection, market_id: str, driver_ids: Sequence[UUID], cause: Cause) -> None:
    """What each may be shown as this transaction sees it. The caller holds the drivers' rows."""
    found = await rows.entitlements(conn, market_id, driver_ids)
    events = [
        cause.event("driver", row["driver_id"], "driver.enrolment",
                    {"offer_types": row["offer_types"], "pilots": row["pilot_ids"]})
        for row in found
    ]  # fmt: skip
    await append(conn, market_id, events)


async def tell_enrolments(
    conn: Connection,
    market_id: str,
    driver_id: UUID,
    enrolments: Mapping[str, EnrolmentView],
    cause: Cause,
    *,
    keep: bool,
) -> None:
    """The same for one driver, with where the enrolments that changed stand now. The caller holds the driver's row.

    keep: also in the inbox, for a phone that is away; not needed where the phone itself asked.
    """
    [row] = await rows.entitlements(conn, market_id, [driver_id])
    entitled = {"offer_types": row["offer_types"], "pilots": row["pilot_ids"]}
    events = [
        cause.event("driver", driver_id, "driver.enrolment", {**entitled, "enrolment": view})
        for view in enrolments.values()
    ]
    await append(conn, market_id, events)
    if keep:
        until = cause.received_at + timedelta(days=INBOX_DAYS)
        for view in enrolments.values():
            await inbox.put(
                conn, market_id, [driver_id], "enrolment.update", msgspec.to_builtins(view),
                created_at=cause.received_at, expires_at=until,
            )  # fmt: skip


async def refresh(ctx: Context, market_id: str, offer_type: str) -> None:
    """An offer type's terms, papers or switch changed: everyone enrolled learns what holds now, bite by bite."""
    after = _NIL
    while True:
        page = await rows.enrolled_after(ctx.pool, market_id, offer_type, after, BITE_ROWS_MAX)
        if not page:
            return
        after = page[-1]
        async with transaction(ctx.pool) as conn:
            present = await drivers.lock(conn, market_id, page)
            await tell(conn, market_id, sorted(present), by_system(ctx.clock()))
        ctx.committed(market_id)
