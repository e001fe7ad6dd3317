"""What a phone that was offline sends too late: recorded with the time it says, never moves anything.

A refused command is late when its delivery is no longer this driver's, or has gone further than the command could have
moved it. One that contradicts what an operator or a rule decided meanwhile is shown to operators.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from flexlive.domain.actors import ActorType
from flexlive.domain.alerts import AlertKind
from flexlive.domain.deliveries import BEFORE_CUSTODY, TERMINAL, TO_CUSTOMER, DeliveryStatus
from flexlive.domain.stops import StopKind
from flexlive.protocol.driver import (
    CheckIn,
    Command,
    Deliver,
    Depart,
    IncidentReport,
    PickupConfirm,
    ProofAdd,
    ReturnConfirm,
    RouteForfeit,
    Scan,
)
from flexlive.services.alerts import raise_alert
from flexlive.services.answers import Answer
from flexlive.services.causes import by_driver
from flexlive.services.context import Context
from flexlive.services.drivers import DriverPrincipal
from flexlive.storage import late_commands as rows
from flexlive.storage.events import append
from flexlive.storage.pool import Connection, Record

LATE_KIND: Final = "delivery.late_command"
_REFUSED: Final = frozenset({"illegal_transition", "not_found"})
_CONTRADICTED: Final = frozenset({ActorType.OPS.value, ActorType.SYSTEM.value})

_NOT_ENDED: Final = frozenset(DeliveryStatus) - TERMINAL
_IN_TIME_AT: Final = {
    StopKind.SITE: BEFORE_CUSTODY,
    StopKind.STORE: BEFORE_CUSTODY,
    StopKind.DOOR: BEFORE_CUSTODY | TO_CUSTOMER,
    StopKind.RETURN: _NOT_ENDED,
    StopKind.HANDOVER: _NOT_ENDED,
}
"""Statuses in which a command at such a stop comes early or just in time, but not late."""


async def record(
    ctx: Context, conn: Connection, principal: DriverPrincipal, command: Command, answer: Answer, now: datetime
) -> int:
    """Append `delivery.late_command` where a refused command came too late; how many deliveries it was about.

    In the command's own transaction, which holds the driver's row.
    """
    if answer.code not in _REFUSED:
        return 0
    delivery_ids, in_time = await _subject(conn, principal, command)
    if not delivery_ids:
        return 0
    market_id, driver_id = principal.market_id, principal.driver_id
    standing = await rows.lock_standing(conn, market_id, driver_id, delivery_ids)
    late = [row for row in standing if row["driver_id"] != driver_id or row["status"] not in in_time]
    cause = by_driver(driver_id, _occurred_at(command, now), now)
    told: dict[str, object] = {
        "driver_id": driver_id,
        "command": str(type(command).__struct_config__.tag),
        "occurred_at": cause.occurred_at,
        "answer": answer.code,
    }
    events = [cause.event("delivery", row["delivery_id"], LATE_KIND, {**told, "status": row["status"]}) for row in late]
    await append(conn, market_id, events)
    for row in late:
        if row["decided_by"] in _CONTRADICTED:
            await _ask_for_review(ctx, conn, principal, row, told, now)
    return len(late)


async def _subject(
    conn: Connection, principal: DriverPrincipal, command: Command
) -> tuple[list[UUID], frozenset[DeliveryStatus]]:
    """(deliveries it is about, statuses in which it is not late); nothing for commands about no delivery."""
    market_id, driver_id = principal.market_id, principal.driver_id
    match command:
        case CheckIn() | Depart() | Scan() | PickupConfirm() | ReturnConfirm():
            work = await rows.stop_work(conn, market_id, driver_id, command.stop_id)
            return ([], _NOT_ENDED) if work is None else (work[1], _IN_TIME_AT[StopKind(work[0])])
        case ProofAdd() | Deliver():
            # What is undeliverable may still be left at the door.
            return [command.delivery_id], _IN_TIME_AT[StopKind.DOOR] | {DeliveryStatus.UNDELIVERABLE}
        case IncidentReport():
            return [command.delivery_id], _IN_TIME_AT[StopKind.DOOR]
        case RouteForfeit():
            return await rows.route_work(conn, market_id, driver_id, command.route_id), frozenset(DeliveryStatus)
        case _:
            return [], _NOT_ENDED


def _occurred_at(command: Command, now: datetime) -> datetime:
    match command:
        case Scan() | ProofAdd() | Deliver():
            return command.occurred_at
        case CheckIn():
            return command.at
        case _:
            return now


async def _ask_for_review(
    ctx: Context, conn: Connection, principal: DriverPrincipal, row: Record, told: dict[str, object], now: datetime
) -> None:
    await raise_alert(
        conn,
        principal.market_id,
        AlertKind.LATE_COMMAND,
        row["delivery_id"],
        delivery_id=row["delivery_id"],
        route_id=row["route_id"],
        driver_id=principal.driver_id,
        detail={**told, "status": row["status"]},
        at=now,
        new_id=ctx.new_id,
    )
