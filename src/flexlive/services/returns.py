"""Back at the counter: what was brought back is scanned, and the store takes it with its code."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from flexlive.domain.deliveries import DeliveryStatus
from flexlive.domain.pickups import same_code
from flexlive.domain.returns import not_rescanned, on_return_confirm
from flexlive.protocol.driver import ReturnConfirm
from flexlive.services import code_attempts, route_steps
from flexlive.services.answers import OK, Answer
from flexlive.services.causes import by_driver
from flexlive.services.context import Context
from flexlive.services.drivers import DriverPrincipal
from flexlive.services.pickups import package_states
from flexlive.services.route_steps import NOT_FOUND, LockedRoute
from flexlive.storage import custody, routes
from flexlive.storage.pool import Connection, Record


async def scan(conn: Connection, locked: LockedRoute, stop: Record, barcode: str, at: datetime) -> Answer:
    """One package of this stop, back at its store."""
    back = _back(locked, stop)
    if not back:
        return Answer("illegal_transition")
    found = await custody.rescan(conn, locked.market_id, back, barcode, locked.driver_id, at)
    return OK if found is not None else Answer("wrong_package")


async def confirm(
    ctx: Context, conn: Connection, principal: DriverPrincipal, command: ReturnConfirm, now: datetime
) -> Answer:
    """Custody goes back to the store: every package on board scanned again, and the store's code agrees."""
    market_id = principal.market_id
    locked = await route_steps.lock_by_stop(conn, market_id, principal.driver_id, command.stop_id)
    stop = locked.stop(command.stop_id) if locked is not None else None
    if locked is None or stop is None:
        return NOT_FOUND
    back = _back(locked, stop)
    if stop["kind"] != "return" or not back:
        return Answer("illegal_transition")
    if not await code_attempts.left(ctx, conn, market_id, stop):
        return Answer("wrong_code", {"attempts_left": 0})
    _, store_code = await routes.stop_codes(conn, market_id, command.stop_id)
    if not same_code(command.store_code, store_code or ""):
        return await code_attempts.wrong(ctx, conn, locked, stop, now)
    barcodes = not_rescanned([package for each in back for package in package_states(locked, each)])
    if barcodes:
        return Answer("wrong_package", {"barcodes": barcodes})
    return await route_steps.take(
        ctx,
        conn,
        locked,
        lambda stops, statuses: on_return_confirm(stops, command.stop_id, statuses),
        by_driver(principal.driver_id, now, now),
    )


def _back(locked: LockedRoute, stop: Record) -> list[UUID]:
    """The stop's deliveries that have been brought back to it."""
    return [each for each in stop["delivery_ids"] if locked.statuses.get(each) is DeliveryStatus.ARRIVED_AT_RETURN]
