"""What a driver's action at a stop does to the route: pure steps from statuses to transitions.

Every step ends by advancing (`route_drafts`). What goes wrong is in `incidents`, `returns`, `transfers`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from flexlive.domain.deliveries import ASSIGNED_BEFORE_CUSTODY, BEFORE_CUSTODY, TERMINAL, DeliveryStatus
from flexlive.domain.errors import ErrorCode
from flexlive.domain.route_drafts import AddedStop as AddedStop
from flexlive.domain.route_drafts import Draft, find, not_next, reachable, refused, waiting_at
from flexlive.domain.route_drafts import Statuses as Statuses
from flexlive.domain.route_drafts import Step as Step
from flexlive.domain.route_drafts import StepRefused as StepRefused
from flexlive.domain.route_drafts import StopChange as StopChange
from flexlive.domain.route_drafts import Transition as Transition
from flexlive.domain.stops import STOP_ENDED, StopKind, StopState, StopStatus
from flexlive.domain.stops import PlanDelivery as PlanDelivery
from flexlive.domain.stops import PlanSite as PlanSite
from flexlive.domain.stops import PlanStore as PlanStore
from flexlive.domain.stops import RouteStatus as RouteStatus
from flexlive.domain.stops import StopPlan as StopPlan
from flexlive.domain.stops import plan_stops as plan_stops

_D, _K, _S = DeliveryStatus, StopKind, StopStatus


def on_depart(stops: Sequence[StopState], stop_id: UUID, statuses: Statuses) -> Step | StepRefused:
    """The driver sets off towards the next stop. Late or repeated, it changes nothing."""
    stop = find(stops, stop_id)
    if isinstance(stop, StepRefused):
        return stop
    if stop.status in (_S.ARRIVED, _S.DONE):
        return Step()
    if stop.status is _S.SKIPPED or not reachable(stops, stop, statuses):
        return not_next(stop)
    draft = Draft(stops, statuses)
    if stop.kind is _K.SITE:
        draft.move_all(stop.delivery_ids, _D.CONFIRMED, _D.ENROUTE_TO_PICKUP)
    return draft.step(departed=stop.stop_id)


def on_check_in(stops: Sequence[StopState], stop_id: UUID, statuses: Statuses) -> Step | StepRefused:
    """The driver is at the next stop. At the site for every delivery picked up there, at a door for its own."""
    stop = find(stops, stop_id)
    if isinstance(stop, StepRefused):
        return stop
    if stop.status in (_S.ARRIVED, _S.DONE):
        return Step()
    if stop.status is _S.SKIPPED or not reachable(stops, stop, statuses):
        return not_next(stop)
    draft = Draft(stops, statuses)
    draft.change(stop.stop_id, _S.ARRIVED)
    match stop.kind:
        case _K.SITE:
            # Being there is proof enough of having set off.
            draft.move_all(stop.delivery_ids, _D.CONFIRMED, _D.ENROUTE_TO_PICKUP)
            draft.move_all(stop.delivery_ids, _D.ENROUTE_TO_PICKUP, _D.ARRIVED_AT_PICKUP)
            draft.change(stop.stop_id, _S.DONE)
        case _K.STORE | _K.HANDOVER:
            pass
        case _K.RETURN:
            draft.move_all(stop.delivery_ids, _D.ENROUTE_TO_RETURN, _D.ARRIVED_AT_RETURN)
        case _K.DOOR:
            draft.move_all(stop.delivery_ids, _D.PICKED_UP, _D.ENROUTE_TO_DROPOFF)
            draft.move_all(stop.delivery_ids, _D.ENROUTE_TO_DROPOFF, _D.ARRIVED_AT_DROPOFF)
    return draft.step()


def on_pickup_confirm(stops: Sequence[StopState], stop_id: UUID, statuses: Statuses) -> Step | StepRefused:
    """The packages of a store stop are in the car; what of them, `pickups.judge_pickup` has decided before."""
    stop = find(stops, stop_id)
    if isinstance(stop, StepRefused):
        return stop
    if stop.kind is not _K.STORE or stop.status in STOP_ENDED or not waiting_at(stop, statuses):
        current = statuses.get(stop.delivery_ids[0]) if stop.delivery_ids else None
        return StepRefused(ErrorCode.ILLEGAL_TRANSITION, "nothing to pick up at this stop", current)
    draft = Draft(stops, statuses)
    draft.move_all(stop.delivery_ids, _D.ARRIVED_AT_PICKUP, _D.PICKED_UP)
    draft.change(stop.stop_id, _S.DONE)
    return draft.step()


def on_deliver(stops: Sequence[StopState], delivery_id: UUID, statuses: Statuses) -> Step | StepRefused:
    """The delivery is at its door and every proof is met; or it is undeliverable and may be left there, which the
    caller has made sure of."""
    status = statuses.get(delivery_id)
    draft = Draft(stops, statuses)
    if status is _D.UNDELIVERABLE:
        draft.move(delivery_id, _D.DELIVERED)
        return draft.step()
    doors = [each for each in stops if each.kind is _K.DOOR and delivery_id in each.delivery_ids]
    if not doors:
        return StepRefused(ErrorCode.NOT_FOUND, "no such delivery on this route")
    stop = next((each for each in doors if each.status not in STOP_ENDED), None)
    if status is not _D.ARRIVED_AT_DROPOFF or stop is None:
        return StepRefused(ErrorCode.ILLEGAL_TRANSITION, "the driver is not at this door", status)
    draft.move(delivery_id, _D.DELIVERED)
    draft.change(stop.stop_id, _S.DONE)
    return draft.step()


def on_forfeit(
    stops: Sequence[StopState], statuses: Statuses, delivery_ids: Collection[UUID] | None = None
) -> Step | StepRefused:
    """What is not picked up goes back to wait for another driver: all of it, or those of delivery_ids.

    Refused when nothing of that is before custody: what left the store is never simply given back."""
    free = [each for each, status in statuses.items() if status in ASSIGNED_BEFORE_CUSTODY]
    if delivery_ids is not None:
        free = [each for each in free if each in delivery_ids]
    if not free:
        wanted = statuses if delivery_ids is None else delivery_ids
        held = (statuses[each] for each in wanted if each in statuses and statuses[each] not in TERMINAL)
        return StepRefused(ErrorCode.ILLEGAL_TRANSITION, "nothing here can be given back", next(held, None))
    draft = Draft(stops, statuses)
    for delivery_id in sorted(free):
        draft.move(delivery_id, _D.CREATED)
        draft.leave(delivery_id)
    return draft.step(ended_as=RouteStatus.FORFEITED)


def on_cancel(stops: Sequence[StopState], delivery_id: UUID, statuses: Statuses) -> Step | StepRefused:
    """The order is called off while its packages are still the store's."""
    status = statuses.get(delivery_id)
    if status not in BEFORE_CUSTODY:
        return refused("what left the store is not cancelled", status)
    draft = Draft(stops, statuses)
    draft.move(delivery_id, _D.CANCELLED)
    return draft.step()


def on_statuses_changed(stops: Sequence[StopState], statuses: Statuses) -> Step:
    """After something else ended deliveries of the route: skip what has no work left."""
    return Draft(stops, statuses).step()
