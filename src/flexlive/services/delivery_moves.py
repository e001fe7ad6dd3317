"""Deliveries moved as a step decided: rows, packages and the facts of it, in one statement each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias, cast
from uuid import UUID

from flexlive.domain.deliveries import DeliveryStatus
from flexlive.domain.packages import PackageCustody
from flexlive.domain.route_drafts import Transition
from flexlive.services.causes import Cause
from flexlive.services.delivery_events import OWN_LEG, delivery_events
from flexlive.storage import custody, drivers, route_writes
from flexlive.storage.events import NewEvent
from flexlive.storage.pool import Connection, Record
from flexlive.storage.route_writes import Move

_D = DeliveryStatus
Details: TypeAlias = Mapping[DeliveryStatus, Mapping[str, object]]
"""What the event of a status says besides."""

_CUSTODY_AT_END: Final = {
    _D.DELIVERED: PackageCustody.DELIVERED,
    _D.RETURNED: PackageCustody.RETURNED,
    _D.DISPOSED: PackageCustody.DISPOSED,
    _D.LOST: PackageCustody.LOST,
}
_HAS_REASON: Final = frozenset({_D.UNDELIVERABLE, _D.CANCELLED, _D.LOST})


async def apply(
    conn: Connection,
    market_id: str,
    transitions: Sequence[Transition],
    cause: Cause,
    *,
    driver_id: UUID | None = None,
    route_id: UUID | None = None,
    details: Details | None = None,
) -> list[NewEvent]:
    """The events to append, in order. driver_id, route_id: whose the deliveries are, None for what is nobody's.

    The caller holds the deliveries; AssertionError when one is not where its transition begins."""
    if not transitions:
        return []
    ways: dict[UUID, list[Transition]] = {}
    for transition in transitions:
        ways.setdefault(transition.delivery_id, []).append(transition)
    moved = await route_writes.move(
        conn,
        market_id,
        [_move(delivery_id, way) for delivery_id, way in ways.items()],
        driver_id=driver_id,
        route_id=route_id,
        reason_code=cause.reason_code,
        at=cause.received_at,
    )
    if len(moved) != len(ways):
        raise AssertionError(f"{transitions} under lock moved {len(moved)} rows")
    await _settle(conn, market_id, transitions)
    first_name: str | None = None
    if driver_id is not None and any(each.to_status in OWN_LEG for each in transitions):
        first_name = await drivers.first_name(conn, market_id, driver_id)
    rows = {row["delivery_id"]: row for row in moved}
    left = {delivery_id: len(way) for delivery_id, way in ways.items()}
    events: list[NewEvent] = []
    for transition in transitions:
        delivery_id, status = transition.delivery_id, transition.to_status
        left[delivery_id] -= 1
        as_it_was = {
            **dict(rows[delivery_id].items()),
            "status": status.value,
            "version": rows[delivery_id]["version"] - left[delivery_id],
        }
        more: dict[str, object] = dict((details or {}).get(status, {}))
        if status is _D.CREATED:
            # Who gave it back is not asked again, also where no offer remembers it.
            more["given_back_by"] = driver_id
        told = None if status is _D.CREATED else driver_id
        events.extend(delivery_events(cast("Record", as_it_was), told, first_name, cause, more))
    return events


def _move(delivery_id: UUID, way: Sequence[Transition]) -> Move:
    statuses = [each.to_status for each in way]
    return Move(
        delivery_id=delivery_id,
        from_status=way[0].from_status.value,
        status=statuses[-1].value,
        steps=len(way),
        attempts=statuses.count(_D.UNDELIVERABLE),
        has_reason=any(status in _HAS_REASON for status in statuses),
    )


async def _settle(conn: Connection, market_id: str, transitions: Sequence[Transition]) -> None:
    ended: dict[UUID, Any] = {
        each.delivery_id: _CUSTODY_AT_END[each.to_status].value
        for each in transitions
        if each.to_status in _CUSTODY_AT_END
    }
    if ended:
        await custody.settle(conn, market_id, ended)
    waiting_again = [each.delivery_id for each in transitions if each.to_status is _D.CREATED]
    if waiting_again:
        await custody.unscan(conn, market_id, waiting_again)
