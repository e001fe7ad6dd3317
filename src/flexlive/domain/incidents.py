"""When a delivery cannot be made: what follows from the reason, the merchant's wish and how often it was tried."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final
from uuid import UUID

from flexlive.domain.deliveries import CUSTODY, TO_CUSTOMER, DeliveryStatus, UndeliverableAction
from flexlive.domain.markets import MarketPolicy
from flexlive.domain.reasons import ReasonCode
from flexlive.domain.route_drafts import Draft, Statuses, Step, StepRefused, refused
from flexlive.domain.stops import StopState

_D, _R = DeliveryStatus, ReasonCode


class Resolution(StrEnum):
    """What becomes of an undeliverable delivery."""

    RETRY = "retry"
    RETURN_TO_PICKUP = "return_to_pickup"
    LEAVE_AT_DOOR = "leave_at_door"
    DISPOSE = "dispose"
    LOST = "lost"


INCIDENT_REASONS: Final = frozenset(
    {
        _R.CUSTOMER_UNAVAILABLE, _R.CUSTOMER_REFUSED, _R.AGE_NOT_VERIFIED, _R.ATTEMPTS_EXHAUSTED, _R.PACKAGE_DAMAGED,
        _R.ADDRESS_PROBLEM, _R.ACCESS_PROBLEM, _R.VEHICLE_PROBLEM, _R.SAFETY, _R.OTHER,
    }
)  # fmt: skip
"""What a driver may report about a delivery on board."""

FOR_OPERATORS: Final = frozenset({_R.ADDRESS_PROBLEM, _R.ACCESS_PROBLEM, _R.VEHICLE_PROBLEM, _R.SAFETY, _R.OTHER})
"""No rule knows what to do about these."""

_BY_WISH: Final = {
    UndeliverableAction.RETURN_TO_PICKUP: Resolution.RETURN_TO_PICKUP,
    UndeliverableAction.LEAVE_AT_DOOR: Resolution.LEAVE_AT_DOOR,
    UndeliverableAction.DISPOSE: Resolution.DISPOSE,
}


def decide(
    reason: ReasonCode,
    undeliverable_action: UndeliverableAction,
    attempts: int,
    policy: MarketPolicy,
    *,
    must_be_attended: bool = False,
) -> Resolution | None:
    """What follows at once; None: an operator decides. RETRY too is for an operator to agree to.

    attempts: with this one. must_be_attended: someone of age has to take it, so it is never left at the door."""
    if reason in FOR_OPERATORS:
        return None
    wish = _BY_WISH[undeliverable_action]
    if wish is Resolution.LEAVE_AT_DOOR:
        # Only an empty house is a reason to leave it there.
        absent = reason is _R.CUSTOMER_UNAVAILABLE and not must_be_attended
        return Resolution.LEAVE_AT_DOOR if absent else Resolution.RETURN_TO_PICKUP
    if reason is _R.CUSTOMER_UNAVAILABLE and attempts < policy.delivery_attempts_max:
        return Resolution.RETRY
    return wish


def fallback(undeliverable_action: UndeliverableAction) -> Resolution:
    """What happens when nobody has decided in time. Nobody can leave it at the door in the driver's place."""
    if undeliverable_action is UndeliverableAction.DISPOSE:
        return Resolution.DISPOSE
    return Resolution.RETURN_TO_PICKUP


def on_incident(
    stops: Sequence[StopState], delivery_id: UUID, statuses: Statuses, decision: Resolution | None, *, store_id: UUID
) -> Step | StepRefused:
    """The delivery cannot be made now; decision: as `decide` gives it. Its door is passed over."""
    status = statuses.get(delivery_id)
    if status not in TO_CUSTOMER:
        return refused("nothing is on its way to this customer", status)
    draft = Draft(stops, statuses)
    draft.move(delivery_id, _D.UNDELIVERABLE)
    draft.close_doors(delivery_id)
    match decision:
        case Resolution.RETURN_TO_PICKUP:
            draft.move(delivery_id, _D.ENROUTE_TO_RETURN)
            draft.add_return(delivery_id, store_id)
        case Resolution.DISPOSE:
            draft.move(delivery_id, _D.DISPOSED)
        case _:
            pass
    return draft.step()


def on_resolve(
    stops: Sequence[StopState], delivery_id: UUID, statuses: Statuses, resolution: Resolution, *, store_id: UUID
) -> Step | StepRefused:
    """Someone has decided about an undeliverable delivery. LOST is possible wherever a driver holds packages.

    RETRY adds a door; the delivery is enroute_to_dropoff when that is the next stop. LEAVE_AT_DOOR changes nothing
    here: the driver's `deliver` does."""
    status = statuses.get(delivery_id)
    if status not in (CUSTODY if resolution is Resolution.LOST else {_D.UNDELIVERABLE}):
        return refused("there is nothing to resolve", status)
    draft = Draft(stops, statuses)
    # A second try that was agreed to before is off, whatever is decided now.
    draft.close_doors(delivery_id)
    match resolution:
        case Resolution.RETRY:
            draft.add_door(delivery_id)
        case Resolution.RETURN_TO_PICKUP:
            draft.move(delivery_id, _D.ENROUTE_TO_RETURN)
            draft.add_return(delivery_id, store_id)
        case Resolution.DISPOSE:
            draft.move(delivery_id, _D.DISPOSED)
        case Resolution.LOST:
            draft.move(delivery_id, _D.LOST)
        case Resolution.LEAVE_AT_DOOR:
            pass
    return draft.step()
