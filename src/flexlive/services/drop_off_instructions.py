"""What a customer adds for the driver: written until the driver stands at the door, shown on the driver's phone at
once."""

from __future__ import annotations

from typing import Final

from flexlive.domain.deliveries import DeliveryStatus as S
from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.protocol import customer as wire
from flexlive.services import tracking
from flexlive.services.causes import Cause, by_system
from flexlive.services.context import Context
from flexlive.services.delivery_events import OWN_LEG
from flexlive.services.delivery_lock import LockedDelivery, lock_delivery
from flexlive.services.route_view import route_view
from flexlive.storage import drivers, route_writes, routes
from flexlive.storage import tracking as rows
from flexlive.storage.events import NewEvent, append
from flexlive.storage.pool import Connection
from flexlive.storage.transaction import transaction

CHANGES_MAX: Final = 20
"""Of one delivery's instructions by its customer: each is an event that is kept."""
INSTRUCTIONS_KIND: Final = "track.instructions"


async def change(ctx: Context, token: str, text: str) -> wire.InstructionsSet:
    """Replace the instructions of the delivery behind a link; the same text again changes nothing.

    FlexliveError: not_found, illegal_transition (the driver is at the door, or it is over), rate_limited."""
    link = await tracking.open_link(ctx, token)
    text = "\n".join(line.rstrip() for line in text.strip().splitlines())
    async with transaction(ctx.pool) as conn:
        locked = await lock_delivery(conn, link.market_id, link.delivery_id)
        # Once more under the lock: the link may have been ended, the door reached, in between.
        link = await tracking.reopen(ctx, link.market_id, link.token_sha256, conn)
        if locked is None or link is None:
            raise FlexliveError(ErrorCode.NOT_FOUND, tracking.NOT_VALID)
        if S(link.row.status) not in tracking.INSTRUCTIONS_EDITABLE:
            raise FlexliveError(ErrorCode.ILLEGAL_TRANSITION, "it is too late to change them", status=link.row.status)
        if link.row.dropoff_instructions == text:
            return wire.InstructionsSet(text)
        if await rows.facts_of_kind(conn, link.market_id, link.delivery_id, INSTRUCTIONS_KIND) >= CHANGES_MAX:
            raise FlexliveError(ErrorCode.RATE_LIMITED, f"instructions can be changed {CHANGES_MAX} times")
        await _write(ctx, conn, locked, text)
    ctx.committed(link.market_id)
    return wire.InstructionsSet(text)


async def _write(ctx: Context, conn: Connection, locked: LockedDelivery, text: str) -> None:
    market_id, delivery_id, now = locked.market_id, locked.delivery_id, ctx.clock()
    row = await rows.set_instructions(conn, market_id, delivery_id, text)
    customer = Cause("customer", None, now, now)
    driver_id = None if locked.route is None else locked.route.driver_id
    update = {name: row[name] for name in ("delivery_id", "status", "readiness", "version")}
    events = [
        customer.event("delivery", delivery_id, "delivery.instructions", {"driver_id": driver_id, "update": update})
    ]
    named = driver_id is not None and S(row["status"]) in OWN_LEG
    first_name = await drivers.first_name(conn, market_id, driver_id) if named and driver_id is not None else None
    courier = {"first_name": first_name} if first_name else None
    shown = {"status": row["status"], "at": now, "courier": courier}
    events.append(by_system(now).event("track", delivery_id, INSTRUCTIONS_KIND, shown))
    if locked.route is not None:
        events.append(await _route_event(conn, market_id, locked, customer))
    await append(conn, market_id, events)


async def _route_event(conn: Connection, market_id: str, locked: LockedDelivery, cause: Cause) -> NewEvent:
    assert locked.route is not None
    route_id = locked.route.route_id
    await route_writes.advance(conn, market_id, route_id)
    [sheet] = await routes.sheets(conn, market_id, [route_id])
    shown = {"driver_id": locked.route.driver_id, "route": route_view(sheet)}
    return cause.event("route", route_id, "route.instructions", shown)
