"""At the counter: scanning packages and taking them over with the store's code."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from flexlive.domain.deliveries import DeliveryStatus
from flexlive.domain.errors import CATALOGUE, ErrorCode
from flexlive.domain.packages import PackageCustody
from flexlive.domain.pickups import PackageState, PickupRefused, judge_pickup
from flexlive.domain.readiness import Readiness
from flexlive.domain.reasons import ReasonCode
from flexlive.domain.routes import on_pickup_confirm
from flexlive.protocol.driver import Missing, PickupConfirm
from flexlive.services import code_attempts, route_steps
from flexlive.services.answers import OK, Answer
from flexlive.services.causes import by_driver
from flexlive.services.context import Context
from flexlive.services.drivers import DriverPrincipal
from flexlive.services.route_steps import NOT_FOUND, LockedRoute
from flexlive.storage import custody, route_writes, routes
from flexlive.storage.pool import Connection, Record

_NOT_HANDED_OVER = tuple(
    readiness.value for readiness in Readiness if readiness not in (Readiness.HANDED_OVER, Readiness.UNAVAILABLE)
)


async def scan(conn: Connection, locked: LockedRoute, stop: Record, barcode: str, at: datetime) -> Answer:
    """One package of this counter read by the phone."""
    waiting = _waiting(locked, stop)
    if not waiting:
        return Answer("illegal_transition")
    found = await custody.scan(conn, locked.market_id, waiting, barcode, at)
    return OK if found is not None else Answer("wrong_package")


async def confirm(
    ctx: Context, conn: Connection, principal: DriverPrincipal, command: PickupConfirm, now: datetime
) -> Answer:
    """Custody passes to the driver: every package scanned, or missing with a reason, and the store's code agrees."""
    locked = await route_steps.lock_by_stop(conn, principal.market_id, principal.driver_id, command.stop_id)
    stop = locked.stop(command.stop_id) if locked is not None else None
    if locked is None or stop is None:
        return NOT_FOUND
    waiting = _waiting(locked, stop)
    if stop["kind"] != "store" or not waiting:
        return Answer("illegal_transition")
    missing = _reasons(command.missing)
    if missing is None:
        return Answer("invalid", {"field": "missing"})
    if not await code_attempts.left(ctx, conn, principal.market_id, stop):
        return Answer("wrong_code", {"attempts_left": 0})
    _, store_code = await routes.stop_codes(conn, principal.market_id, command.stop_id)
    verdict = judge_pickup(
        [package for delivery_id in waiting for package in package_states(locked, delivery_id)],
        missing,
        store_code=command.store_code,
        store_code_expected=store_code or "",
        deliveries=waiting,
    )
    if isinstance(verdict, PickupRefused):
        if verdict.code is ErrorCode.WRONG_CODE:
            return await code_attempts.wrong(ctx, conn, locked, stop, now)
        code = CATALOGUE[verdict.code].result_code
        assert code is not None
        return Answer(code, {"barcodes": verdict.barcodes} if verdict.barcodes else None)
    await custody.take(
        conn,
        principal.market_id,
        waiting,
        {package_id: reason.value for package_id, reason in verdict.missing.items()},
    )
    await route_writes.set_readiness(conn, principal.market_id, waiting, Readiness.HANDED_OVER.value, _NOT_HANDED_OVER)
    return await route_steps.take(
        ctx,
        conn,
        locked,
        lambda stops, statuses: on_pickup_confirm(stops, command.stop_id, statuses),
        by_driver(principal.driver_id, now, now),
    )


def _waiting(locked: LockedRoute, stop: Record) -> list[UUID]:
    """The stop's deliveries that can be picked up now."""
    return [each for each in stop["delivery_ids"] if locked.statuses.get(each) is DeliveryStatus.ARRIVED_AT_PICKUP]


def package_states(locked: LockedRoute, delivery_id: UUID) -> list[PackageState]:
    """A delivery's packages as the domain reads them. Read again counts only by the driver of this route."""
    return [
        PackageState(
            package_id=row["package_id"],
            delivery_id=delivery_id,
            barcode=row["barcode"],
            custody=PackageCustody(row["custody"]),
            scanned=row["scanned_at"] is not None,
            rescanned=row["rescanned_by"] == locked.driver_id,
        )
        for row in locked.sheet.packages[delivery_id]
    ]


def _reasons(missing: tuple[Missing, ...]) -> dict[str, ReasonCode] | None:
    known = {reason.value: reason for reason in ReasonCode}
    if any(each.reason not in known for each in missing):
        return None
    return {each.barcode: known[each.reason] for each in missing}
