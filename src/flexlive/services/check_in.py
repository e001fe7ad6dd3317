"""Setting off and arriving: `depart`, `check_in`, and the crossing a position reveals."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from flexlive.domain.check_in import Accepted, CheckInMethod, CheckInStop, WrongCode, error_code, judge
from flexlive.domain.errors import CATALOGUE
from flexlive.domain.geography import Point, distance_m
from flexlive.domain.routes import on_check_in, on_depart
from flexlive.protocol.driver import CheckIn, Depart
from flexlive.realtime.presence import Position
from flexlive.services import code_attempts, route_steps
from flexlive.services.answers import OK, Answer
from flexlive.services.causes import by_driver, by_system
from flexlive.services.context import Context
from flexlive.services.drivers import DriverPrincipal
from flexlive.services.route_steps import NOT_FOUND, LockedRoute
from flexlive.storage import drivers, routes
from flexlive.storage.pool import Connection, Record
from flexlive.storage.routes import NewCheckIn
from flexlive.storage.transaction import transaction


async def depart(ctx: Context, conn: Connection, principal: DriverPrincipal, command: Depart, now: datetime) -> Answer:
    """Setting off towards the next stop."""
    locked = await route_steps.lock_by_stop(conn, principal.market_id, principal.driver_id, command.stop_id)
    if locked is None:
        return NOT_FOUND
    return await route_steps.take(
        ctx,
        conn,
        locked,
        lambda stops, statuses: on_depart(stops, command.stop_id, statuses),
        by_driver(principal.driver_id, now, now),
    )


async def check_in(
    ctx: Context, conn: Connection, principal: DriverPrincipal, command: CheckIn, now: datetime
) -> Answer:
    """At a stop, with evidence: inside its geofence, or with the site's QR or code. The evidence is kept."""
    locked = await route_steps.lock_by_stop(conn, principal.market_id, principal.driver_id, command.stop_id)
    stop = locked.stop(command.stop_id) if locked is not None else None
    if locked is None or stop is None:
        return NOT_FOUND
    rules = await ctx.rules.get(conn, principal.market_id, ctx.monotonic())
    by_code = command.method in ("store_qr", "code")
    if by_code and not await code_attempts.left(ctx, conn, principal.market_id, stop):
        return Answer("wrong_code", {"attempts_left": 0})
    site_code, _ = await routes.stop_codes(conn, principal.market_id, command.stop_id)
    fix = command.point
    verdict = judge(
        method=CheckInMethod(command.method),
        at=command.at,
        stop=CheckInStop(Point(stop["lat"], stop["lon"]), stop["geofence_radius_m"], site_code),
        now=now,
        policy=rules.policy,
        point=None if fix is None else Point(fix.lat, fix.lon),
        accuracy_m=command.accuracy_m if command.accuracy_m is not None else fix.accuracy_m if fix else None,
        code=command.qr if command.method == "store_qr" else command.code,
        mock=fix.mock if fix is not None else False,
    )
    if isinstance(verdict, WrongCode):
        return await code_attempts.wrong(ctx, conn, locked, stop, now)
    if not isinstance(verdict, Accepted):
        code = CATALOGUE[error_code(verdict)].result_code
        assert code is not None
        distance = getattr(verdict, "distance_m", None)
        return Answer(code, None if distance is None else {"distance_m": round(distance)})
    evidence = NewCheckIn(
        stop_id=command.stop_id,
        driver_id=principal.driver_id,
        method=command.method,
        occurred_at=command.at,
        received_at=now,
        lat=fix.lat if fix else None,
        lon=fix.lon if fix else None,
        accuracy_m=fix.accuracy_m if fix else None,
        distance_m=verdict.distance_m,
    )
    return await _arrive(ctx, conn, locked, evidence, by_driver_at=command.at)


async def cross(ctx: Context, principal: DriverPrincipal, stop_id: UUID, position: Position) -> bool:
    """A position inside the door's radius: the driver is at the door, said or not. True when that changed anything.

    The same lock order as a command; a check_in that came first makes this a no-op.
    """
    async with transaction(ctx.pool) as conn:
        await drivers.lock(conn, principal.market_id, [principal.driver_id])
        locked = await route_steps.lock_by_stop(conn, principal.market_id, principal.driver_id, stop_id)
        stop = locked.stop(stop_id) if locked is not None else None
        if locked is None or stop is None or stop["status"] != "pending":
            return False
        evidence = NewCheckIn(
            stop_id=stop_id,
            driver_id=principal.driver_id,
            method=CheckInMethod.CROSSING.value,
            occurred_at=position.at,
            received_at=position.received_at,
            lat=position.lat,
            lon=position.lon,
            accuracy_m=position.accuracy_m,
            distance_m=_distance(stop, position),
        )
        changed = (await _arrive(ctx, conn, locked, evidence, by_driver_at=None)).ok
    ctx.committed(principal.market_id)
    return changed


async def set_off(ctx: Context, principal: DriverPrincipal, stop_id: UUID) -> bool:
    """The first movement after winning: the driver is on the way to the site, said or not."""
    async with transaction(ctx.pool) as conn:
        await drivers.lock(conn, principal.market_id, [principal.driver_id])
        locked = await route_steps.lock_by_stop(conn, principal.market_id, principal.driver_id, stop_id)
        if locked is None:
            return False
        answer = await route_steps.take(
            ctx, conn, locked, lambda stops, statuses: on_depart(stops, stop_id, statuses), by_system(ctx.clock())
        )
    ctx.committed(principal.market_id)
    return answer.ok


async def _arrive(
    ctx: Context, conn: Connection, locked: LockedRoute, evidence: NewCheckIn, by_driver_at: datetime | None
) -> Answer:
    now = evidence.received_at
    cause = by_system(now) if by_driver_at is None else by_driver(locked.driver_id, by_driver_at, now)
    answer = await route_steps.take(
        ctx, conn, locked, lambda stops, statuses: on_check_in(stops, evidence.stop_id, statuses), cause
    )
    if answer == OK:
        await routes.insert_check_in(conn, locked.market_id, evidence)
    return answer


def _distance(stop: Record, position: Position) -> float:
    return distance_m(Point(stop["lat"], stop["lon"]), Point(position.lat, position.lon))
