"""A delivery's custody and a store's readiness: two machines, each one table of rows (lifecycle.md)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from flexlive.domain.actors import ActorType
from flexlive.domain.readiness import Readiness as Readiness
from flexlive.domain.readiness import readiness_sources as readiness_sources
from flexlive.domain.readiness import readiness_steps as readiness_steps


class DeliveryStatus(StrEnum):
    CREATED = "created"
    CONFIRMED = "confirmed"
    ENROUTE_TO_PICKUP = "enroute_to_pickup"
    ARRIVED_AT_PICKUP = "arrived_at_pickup"
    PICKED_UP = "picked_up"
    ENROUTE_TO_DROPOFF = "enroute_to_dropoff"
    ARRIVED_AT_DROPOFF = "arrived_at_dropoff"
    DELIVERED = "delivered"
    UNDELIVERABLE = "undeliverable"
    ENROUTE_TO_RETURN = "enroute_to_return"
    ARRIVED_AT_RETURN = "arrived_at_return"
    RETURNED = "returned"
    DISPOSED = "disposed"
    CANCELLED = "cancelled"
    LOST = "lost"


class UndeliverableAction(StrEnum):
    RETURN_TO_PICKUP = "return_to_pickup"
    LEAVE_AT_DOOR = "leave_at_door"
    DISPOSE = "dispose"


class Guard(StrEnum):
    """What must hold besides the status; checked by the use case that asks for the row."""

    OFFER_WON = "offer_won"
    ASSIGNED = "assigned"
    DEPARTED = "departed"
    FIRST_MOVEMENT = "first_movement"
    CHECKED_IN = "checked_in"
    CROSSING = "crossing"
    SCANNED_AND_STORE_CODE = "scanned_and_store_code"
    NEXT_STOP = "next_stop"
    PROOFS_MET = "proofs_met"
    INCIDENT = "incident"
    RETRY = "retry"
    ACTION_IS_RETURN = "action_is_return"
    ACTION_IS_LEAVE_AT_DOOR = "action_is_leave_at_door"
    ACTION_IS_DISPOSE = "action_is_dispose"
    RETURN_SCANNED_AND_STORE_CODE = "return_scanned_and_store_code"
    CANCELLED_WITH_REASON = "cancelled_with_reason"
    NO_DRIVER_FOUND = "no_driver_found"
    FORFEITED = "forfeited"
    UNASSIGNED = "unassigned"
    LOST_WITH_REASON = "lost_with_reason"
    CUSTODY_TRANSFERRED = "custody_transferred"


class Row(NamedTuple):
    """One legal step. actors may ask for it; needs are others who have to play along (a code, a door opened)."""

    from_status: DeliveryStatus
    to_status: DeliveryStatus
    actors: frozenset[ActorType]
    guard: Guard
    needs: frozenset[ActorType] = frozenset()


_S, _A, _G = DeliveryStatus, ActorType, Guard
_DRIVER, _OPS, _SYSTEM = (frozenset({actor}) for actor in (_A.DRIVER, _A.OPS, _A.SYSTEM))
_STORE, _CUSTOMER = frozenset({_A.STORE}), frozenset({_A.CUSTOMER})
_ANYONE_ELSES_STEP: Final = frozenset({_A.DRIVER, _A.OPS, _A.SYSTEM, _A.MERCHANT, _A.STORE})

BEFORE_CUSTODY: Final = frozenset({_S.CREATED, _S.CONFIRMED, _S.ENROUTE_TO_PICKUP, _S.ARRIVED_AT_PICKUP})
"""The packages are still the store's: cancelling is possible, losing is not."""

ASSIGNED_BEFORE_CUSTODY: Final = BEFORE_CUSTODY - {_S.CREATED}

TO_CUSTOMER: Final = frozenset({_S.PICKED_UP, _S.ENROUTE_TO_DROPOFF, _S.ARRIVED_AT_DROPOFF})

CUSTODY: Final = TO_CUSTOMER | {_S.UNDELIVERABLE, _S.ENROUTE_TO_RETURN, _S.ARRIVED_AT_RETURN}
"""A driver holds packages: what left the store comes back, is handed over, disposed or lost – never cancelled."""

TERMINAL: Final = frozenset({_S.DELIVERED, _S.RETURNED, _S.DISPOSED, _S.CANCELLED, _S.LOST})

CUSTOMER_VISIBLE: Final = frozenset(_S) - {_S.ARRIVED_AT_RETURN}
"""Statuses that are written to the customer's own stream."""


def _each(sources: frozenset[DeliveryStatus], to: DeliveryStatus, actors: frozenset[ActorType], guard: Guard):
    return tuple(Row(source, to, actors, guard) for source in _S if source in sources)


TRANSITIONS: Final[tuple[Row, ...]] = (
    Row(_S.CREATED, _S.CONFIRMED, _DRIVER, _G.OFFER_WON),
    Row(_S.CREATED, _S.CONFIRMED, _OPS, _G.ASSIGNED),
    # An operator who checks a driver in by hand walks this row too.
    Row(_S.CONFIRMED, _S.ENROUTE_TO_PICKUP, _DRIVER | _OPS, _G.DEPARTED),
    Row(_S.CONFIRMED, _S.ENROUTE_TO_PICKUP, _SYSTEM, _G.FIRST_MOVEMENT),
    Row(_S.ENROUTE_TO_PICKUP, _S.ARRIVED_AT_PICKUP, _DRIVER | _OPS, _G.CHECKED_IN),
    Row(_S.ARRIVED_AT_PICKUP, _S.PICKED_UP, _DRIVER, _G.SCANNED_AND_STORE_CODE, needs=_STORE),
    # Follows from whatever made it the next stop: a pickup, the door before, the last order at a counter cancelled.
    Row(_S.PICKED_UP, _S.ENROUTE_TO_DROPOFF, _ANYONE_ELSES_STEP, _G.NEXT_STOP),
    Row(_S.ENROUTE_TO_DROPOFF, _S.ARRIVED_AT_DROPOFF, _DRIVER | _OPS, _G.CHECKED_IN),
    Row(_S.ENROUTE_TO_DROPOFF, _S.ARRIVED_AT_DROPOFF, _SYSTEM, _G.CROSSING),
    Row(_S.ARRIVED_AT_DROPOFF, _S.DELIVERED, _DRIVER, _G.PROOFS_MET, needs=_CUSTOMER),
    *_each(TO_CUSTOMER, _S.UNDELIVERABLE, _DRIVER | _OPS | _SYSTEM, _G.INCIDENT),
    # Ops agrees to another try; it begins, like every leg, when its door is the next stop.
    Row(_S.UNDELIVERABLE, _S.ENROUTE_TO_DROPOFF, _ANYONE_ELSES_STEP, _G.RETRY),
    Row(_S.UNDELIVERABLE, _S.ENROUTE_TO_RETURN, _DRIVER | _OPS | _SYSTEM, _G.ACTION_IS_RETURN),
    Row(_S.UNDELIVERABLE, _S.DELIVERED, _DRIVER | _OPS, _G.ACTION_IS_LEAVE_AT_DOOR),
    Row(_S.UNDELIVERABLE, _S.DISPOSED, _DRIVER | _OPS | _SYSTEM, _G.ACTION_IS_DISPOSE),
    Row(_S.ENROUTE_TO_RETURN, _S.ARRIVED_AT_RETURN, _DRIVER | _OPS, _G.CHECKED_IN),
    Row(_S.ENROUTE_TO_RETURN, _S.ARRIVED_AT_RETURN, _SYSTEM, _G.CROSSING),
    Row(_S.ARRIVED_AT_RETURN, _S.RETURNED, _DRIVER, _G.RETURN_SCANNED_AND_STORE_CODE, needs=_STORE),
    *_each(BEFORE_CUSTODY, _S.CANCELLED, frozenset({_A.MERCHANT, _A.STORE, _A.OPS}), _G.CANCELLED_WITH_REASON),
    Row(_S.CREATED, _S.CANCELLED, _SYSTEM, _G.NO_DRIVER_FOUND),
    *_each(ASSIGNED_BEFORE_CUSTODY, _S.CREATED, _DRIVER, _G.FORFEITED),
    *_each(ASSIGNED_BEFORE_CUSTODY, _S.CREATED, _OPS | _SYSTEM, _G.UNASSIGNED),
    *_each(CUSTODY, _S.LOST, _OPS, _G.LOST_WITH_REASON),
)

CUSTODY_TRANSFERS: Final[tuple[Row, ...]] = tuple(
    Row(held, _S.ENROUTE_TO_RETURN if "return" in held else _S.PICKED_UP, _OPS, _G.CUSTODY_TRANSFERRED, needs=_DRIVER)
    for held in _S
    if held in CUSTODY
)
"""Where a delivery stands on the second driver's route once that driver has scanned it. Kept apart from
TRANSITIONS so that no command of the first driver's phone can walk these rows backwards."""

_PAIRS: Final[Mapping[tuple[DeliveryStatus, DeliveryStatus], frozenset[ActorType]]] = MappingProxyType(
    {
        (row.from_status, row.to_status): frozenset[ActorType]().union(
            *(other.actors for other in TRANSITIONS if other[:2] == row[:2])
        )
        for row in TRANSITIONS
    }
)


def can(from_status: DeliveryStatus, to_status: DeliveryStatus, actor: ActorType) -> bool:
    """Whether the table has a row from → to for that actor; guards are the caller's."""
    return actor in _PAIRS.get((from_status, to_status), frozenset())


def sources(
    to_status: DeliveryStatus, *, actor: ActorType | None = None, guard: Guard | None = None
) -> frozenset[DeliveryStatus]:
    """From where a status may be entered, for `status = ANY(...)`; name the guard to leave other ways in out."""
    return frozenset(
        row.from_status
        for row in TRANSITIONS
        if row.to_status is to_status and (actor is None or actor in row.actors) and guard in (None, row.guard)
    )


def after_transfer(status: DeliveryStatus) -> DeliveryStatus | None:
    """The status on the second driver's route; None where there is no custody to transfer."""
    return next((row.to_status for row in CUSTODY_TRANSFERS if row.from_status is status), None)
