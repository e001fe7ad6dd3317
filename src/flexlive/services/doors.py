"""At the door: proofs and the hand-over."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from flexlive.domain.deliveries import DeliveryStatus, UndeliverableAction
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
from flexlive.services import code_attempts, route_steps, uploads
from flexlive.services.answers import OK, Answer
from flexlive.services.causes import by_driver
from flexlive.services.context import Context
from flexlive.services.drivers import DriverPrincipal
from flexlive.services.incidents import must_be_attended
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
    if status is not DeliveryStatus.ARRIVED_AT_DROPOFF and not _may_be_left(locked, command.delivery_id):
        return Answer("illegal_transition", {"status": status.value})
    sha256 = bytes.fromhex(command.sha256)
    if command.upload_id is not None and await uploads.contradicts(
        conn, principal.market_id, principal.driver_id, command.upload_id, sha256
    ):
        return Answer("conflict")
    await custody.insert_proof(
        conn,
        principal.market_id,
        proof_id=ctx.new_id(),
        delivery_id=command.delivery_id,
        kind=command.kind,
        sha256=sha256,
        upload_id=command.upload_id,
        occurred_at=command.occurred_at,
        received_at=now,
    )
    return OK


async def deliver(
    ctx: Context, conn: Connection, principal: DriverPrincipal, command: Deliver, now: datetime
) -> Answer:
    """Custody ends: the driver is at the door and every required proof is met. A wrong PIN counts as an attempt.

    What nobody takes and may be left at the door needs `left_at` and a photo, whatever else was asked for."""
    market_id = principal.market_id
    locked = await route_steps.lock_by_delivery(conn, market_id, principal.driver_id, command.delivery_id)
    if locked is None:
        return NOT_FOUND
    status = locked.statuses[command.delivery_id]
    if _may_be_left(locked, command.delivery_id):
        refused = await _left(conn, locked, command)
    elif status is DeliveryStatus.ARRIVED_AT_DROPOFF:
        refused = await _proofs(ctx, conn, locked, command, now)
    else:
        return Answer("illegal_transition", {"status": status.value})
    if refused is not None:
        return refused
    if command.recipient is not None or command.left_at is not None:
        await custody.record_recipient(conn, market_id, command.delivery_id, command.recipient, command.left_at)
    return await route_steps.take(
        ctx,
        conn,
        locked,
        lambda stops, statuses: on_deliver(stops, command.delivery_id, statuses),
        by_driver(principal.driver_id, command.occurred_at, now),
        {DeliveryStatus.DELIVERED: {"recipient": command.recipient, "left_at": command.left_at}},
    )


def _may_be_left(locked: LockedRoute, delivery_id: UUID) -> bool:
    """Nobody is there, and the merchant, or operators since, want it left at the door; never what needs an age."""
    row = locked.sheet.deliveries[delivery_id]
    return (
        locked.statuses[delivery_id] is DeliveryStatus.UNDELIVERABLE
        and row["undeliverable_action"] == UndeliverableAction.LEAVE_AT_DOOR
        and not must_be_attended(row)
    )


async def _left(conn: Connection, locked: LockedRoute, command: Deliver) -> Answer | None:
    """None when the driver has said where, and shown it."""
    if command.left_at is None:
        return Answer("invalid", {"field": "left_at"})
    if ProofKind.PHOTO.value not in await custody.proofs(conn, locked.market_id, command.delivery_id):
        return Answer("illegal_transition", {"proofs_missing": [ProofKind.PHOTO.value]})
    return None


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
                if not attempts_left:
                    await code_attempts.exhausted(ctx, conn, locked, delivery_id, delivery_id, now)
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
