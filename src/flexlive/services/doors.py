"""At the door: proofs and the hand-over."""

from __future__ import annotations

from datetime import datetime

import msgspec

from flexlive.domain.deliveries import DeliveryStatus
from flexlive.domain.proofs import (
    PinExhausted,
    PinMissing,
    PinRight,
    PinWrong,
    ProofKind,
    Verification,
    judge_pin,
    proofs_missing,
)
from flexlive.domain.routes import on_deliver
from flexlive.protocol.driver import Deliver, ProofAdd
from flexlive.services import route_steps
from flexlive.services.answers import OK, Answer
from flexlive.services.causes import by_driver
from flexlive.services.context import Context
from flexlive.services.drivers import DriverPrincipal
from flexlive.services.route_steps import NOT_FOUND, LockedRoute
from flexlive.storage import custody
from flexlive.storage.pool import Connection


async def add_proof(
    ctx: Context, conn: Connection, principal: DriverPrincipal, command: ProofAdd, now: datetime
) -> Answer:
    """The hash of a proof, bound to its delivery while the driver is at that door."""
    locked = await route_steps.lock_by_delivery(conn, principal.market_id, principal.driver_id, command.delivery_id)
    if locked is None:
        return NOT_FOUND
    status = locked.statuses[command.delivery_id]
    if status is not DeliveryStatus.ARRIVED_AT_DROPOFF:
        return Answer("illegal_transition", {"status": status.value})
    await custody.insert_proof(
        conn,
        principal.market_id,
        proof_id=ctx.new_id(),
        delivery_id=command.delivery_id,
        kind=command.kind,
        sha256=bytes.fromhex(command.sha256),
        upload_id=command.upload_id,
        occurred_at=command.occurred_at,
        received_at=now,
    )
    return OK


async def deliver(
    ctx: Context, conn: Connection, principal: DriverPrincipal, command: Deliver, now: datetime
) -> Answer:
    """Custody ends: the driver is at the door and every required proof is met. A wrong PIN counts as an attempt."""
    market_id = principal.market_id
    locked = await route_steps.lock_by_delivery(conn, market_id, principal.driver_id, command.delivery_id)
    if locked is None:
        return NOT_FOUND
    status = locked.statuses[command.delivery_id]
    if status is not DeliveryStatus.ARRIVED_AT_DROPOFF:
        return Answer("illegal_transition", {"status": status.value})
    refused = await _proofs(ctx, conn, locked, command, now)
    if refused is not None:
        return refused
    await custody.hand_over(conn, market_id, command.delivery_id)
    return await route_steps.take(
        ctx,
        conn,
        locked,
        lambda stops, statuses: on_deliver(stops, command.delivery_id, statuses),
        by_driver(principal.driver_id, command.occurred_at, now),
    )


async def _proofs(
    ctx: Context, conn: Connection, locked: LockedRoute, command: Deliver, now: datetime
) -> Answer | None:
    """None when every proof is met."""
    market_id, delivery_id = locked.market_id, command.delivery_id
    verification = msgspec.convert(locked.sheet.deliveries[delivery_id]["dropoff_verification"], Verification)
    given = {ProofKind(kind) for kind in await custody.proofs(conn, market_id, delivery_id)}
    if verification.pincode and ProofKind.PINCODE not in given:
        rules = await ctx.rules.get(conn, market_id, ctx.monotonic())
        expected, attempts = await custody.pincode(conn, market_id, delivery_id)
        match judge_pin(expected or "", command.pincode, attempts, rules.policy.pin_attempts_max):
            case PinRight():
                await _record_pin(ctx, conn, locked, command, now)
                given.add(ProofKind.PINCODE)
            case PinWrong(attempts_left):
                await custody.count_attempt(conn, market_id, delivery_id)
                return Answer("wrong_code", {"attempts_left": attempts_left})
            case PinExhausted():
                return Answer("wrong_code", {"attempts_left": 0})
            case PinMissing():
                pass
    missing = proofs_missing(verification, given, _barcodes_scanned(locked, command))
    return Answer("illegal_transition", {"proofs_missing": [kind.value for kind in missing]}) if missing else None


async def _record_pin(ctx: Context, conn: Connection, locked: LockedRoute, command: Deliver, now: datetime) -> None:
    await custody.insert_proof(
        conn,
        locked.market_id,
        proof_id=ctx.new_id(),
        delivery_id=command.delivery_id,
        kind=ProofKind.PINCODE.value,
        sha256=None,
        upload_id=None,
        occurred_at=command.occurred_at,
        received_at=now,
    )


def _barcodes_scanned(locked: LockedRoute, command: Deliver) -> list[str]:
    packages = locked.sheet.packages[command.delivery_id]
    return [row["barcode"] for row in packages if row["scanned_at"] is not None]
