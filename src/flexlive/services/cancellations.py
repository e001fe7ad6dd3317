"""Calling an order off while its packages are still the store's: by merchant, store, operators, or for want of a
driver."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

from flexlive.domain.actors import ActorType
from flexlive.domain.deliveries import DeliveryStatus, can
from flexlive.domain.route_drafts import Transition
from flexlive.domain.routes import on_cancel
from flexlive.services import delivery_lock, delivery_moves, route_steps
from flexlive.services.answers import OK, Answer
from flexlive.services.causes import Cause
from flexlive.services.context import Context
from flexlive.services.delivery_lock import LockedDelivery
from flexlive.services.route_steps import NOT_FOUND
from flexlive.storage import inbox, offers
from flexlive.storage.events import append
from flexlive.storage.pool import Connection

INBOX_HOURS: Final = 24
INBOX_KIND: Final = "delivery.cancelled"


async def cancel(ctx: Context, conn: Connection, market_id: str, delivery_id: UUID, cause: Cause) -> Answer:
    """In the caller's transaction, which holds none of these rows yet. cause.reason_code is kept as the reason.

    An open offer that holds it is withdrawn, a driver who had checked in earns a part and is told. Answers ok (also
    when it was cancelled before), not_found, illegal_transition with the status that stood in the way."""
    locked = await delivery_lock.lock_delivery(conn, market_id, delivery_id)
    if locked is None:
        return NOT_FOUND
    return await cancel_locked(ctx, conn, locked, cause)


async def cancel_locked(ctx: Context, conn: Connection, locked: LockedDelivery, cause: Cause) -> Answer:
    """The same for a caller that holds the delivery already."""
    status = DeliveryStatus(locked.row["status"])
    if status is DeliveryStatus.CANCELLED:
        return OK
    if not can(status, DeliveryStatus.CANCELLED, ActorType(cause.actor_type)):
        return Answer("illegal_transition", {"status": status.value})
    market_id, delivery_id = locked.market_id, locked.delivery_id
    if locked.route is not None:
        answer = await route_steps.take(
            ctx, conn, locked.route, lambda stops, statuses: on_cancel(stops, delivery_id, statuses), cause
        )
        if answer.ok:
            await _tell_driver(conn, locked, locked.route.driver_id, cause)
        return answer
    transition = Transition(delivery_id, status, DeliveryStatus.CANCELLED)
    events = await delivery_moves.apply(conn, market_id, [transition], cause)
    if locked.offer is not None:
        offer_id: UUID = locked.offer["offer_id"]
        await offers.close(conn, market_id, offer_id, "withdrawn", cause.received_at)
        events.append(cause.event("offer", offer_id, "offer.withdrawn", {"offer_id": offer_id}))
    await append(conn, market_id, events)
    return OK


async def _tell_driver(conn: Connection, locked: LockedDelivery, driver_id: UUID, cause: Cause) -> None:
    body = {
        "delivery_id": locked.delivery_id,
        "external_delivery_id": locked.row["external_delivery_id"],
        "reason_code": cause.reason_code,
        "cancelled_at": cause.received_at,
    }
    await inbox.put(
        conn,
        locked.market_id,
        [driver_id],
        INBOX_KIND,
        body,
        created_at=cause.received_at,
        expires_at=cause.received_at + timedelta(hours=INBOX_HOURS),
    )
