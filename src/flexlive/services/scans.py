"""`scan`: a phone reads a package – at a counter to take it, at a hand-over to take it over, at a return to give it
back."""

from __future__ import annotations

from datetime import datetime

from flexlive.protocol.driver import Scan
from flexlive.services import handovers, pickups, returns, route_steps
from flexlive.services.answers import Answer
from flexlive.services.context import Context
from flexlive.services.drivers import DriverPrincipal
from flexlive.services.route_steps import NOT_FOUND
from flexlive.storage.pool import Connection


async def scan(ctx: Context, conn: Connection, principal: DriverPrincipal, command: Scan, now: datetime) -> Answer:
    """One package of this stop; a second scan changes nothing."""
    locked = await route_steps.lock_by_stop(conn, principal.market_id, principal.driver_id, command.stop_id)
    stop = locked.stop(command.stop_id) if locked is not None else None
    if locked is None or stop is None:
        return NOT_FOUND
    at = min(command.occurred_at, now)
    match stop["kind"]:
        case "store":
            return await pickups.scan(conn, locked, stop, command.barcode, at)
        case "return":
            return await returns.scan(conn, locked, stop, command.barcode, at)
        case "handover":
            return await handovers.scan(ctx, conn, locked, stop, command.barcode, at, now)
        case _:
            return Answer("illegal_transition")
