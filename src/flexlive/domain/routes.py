"""What a driver's action at a stop does to the route: pure steps from statuses to transitions.

Every step ends by advancing: stops with nothing left to do are skipped, and the delivery whose door became the
next stop – that one and no other – is `enroute_to_dropoff`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias
from uuid import UUID

from flexlive.domain.deliveries import BEFORE_CUSTODY, TERMINAL, TO_CUSTOMER, DeliveryStatus
from flexlive.domain.errors import ErrorCode
from flexlive.domain.stops import STOP_ENDED, StopKind, StopState, StopStatus, next_stop
from flexlive.domain.stops import PlanDelivery as PlanDelivery
from flexlive.domain.stops import PlanSite as PlanSite
from flexlive.domain.stops import PlanStore as PlanStore
from flexlive.domain.stops import RouteStatus as RouteStatus
from flexlive.domain.stops import StopPlan as StopPlan
from flexlive.domain.stops import plan_stops as plan_stops

_D, _K, _S = DeliveryStatus, StopKind, StopStatus
Statuses: TypeAlias = Mapping[UUID, DeliveryStatus]
"""The deliveries that are on this driver's route now; one that left it is absent."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the delivery table, to be applied in the order given."""

    delivery_id: UUID
    from_status: DeliveryStatus
    to_status: DeliveryStatus


@dataclass(frozen=True, slots=True)
class StopChange:
    stop_id: UUID
    status: StopStatus


@dataclass(frozen=True, slots=True)
class Step:
    """What follows from one action. departed_stop_id: the stop the driver has set off to, if the action said so.
    route_completed: no stop is left and every delivery has ended. Nothing in it means: recorded, changes nothing."""

    transitions: tuple[Transition, ...] = ()
    stops: tuple[StopChange, ...] = ()
    departed_stop_id: UUID | None = None
    route_completed: bool = False


@dataclass(frozen=True, slots=True)
class StepRefused:
    """current: the status that stood in the way, for the answer's `current`."""

    code: ErrorCode
    detail: str
    current: str | None = None


def on_depart(stops: Sequence[StopState], stop_id: UUID, statuses: Statuses) -> Step | StepRefused:
    """The driver sets off towards the next stop. Late or repeated, it changes nothing."""
    stop = _find(stops, stop_id)
    if isinstance(stop, StepRefused):
        return stop
    if stop.status is not _S.PENDING:
        return Step()
    if not _reachable(stops, stop, statuses):
        return _not_next(stop)
    draft = _Draft(stops, statuses)
    if stop.kind is _K.SITE:
        draft.move_all(stop, _D.CONFIRMED, _D.ENROUTE_TO_PICKUP)
    return draft.step(departed=stop.stop_id)


def on_check_in(stops: Sequence[StopState], stop_id: UUID, statuses: Statuses) -> Step | StepRefused:
    """The driver is at the next stop. At the site for every delivery picked up there, at a door for its own."""
    stop = _find(stops, stop_id)
    if isinstance(stop, StepRefused):
        return stop
    if stop.status in (_S.ARRIVED, _S.DONE):
        return Step()
    if stop.status is _S.SKIPPED or not _reachable(stops, stop, statuses):
        return _not_next(stop)
    draft = _Draft(stops, statuses)
    draft.change(stop, _S.ARRIVED)
    match stop.kind:
        case _K.SITE:
            # Being there is proof enough of having set off.
            draft.move_all(stop, _D.CONFIRMED, _D.ENROUTE_TO_PICKUP)
            draft.move_all(stop, _D.ENROUTE_TO_PICKUP, _D.ARRIVED_AT_PICKUP)
            draft.change(stop, _S.DONE)
        case _K.STORE | _K.RETURN | _K.HANDOVER:
            pass
        case _K.DOOR:
            draft.move_all(stop, _D.PICKED_UP, _D.ENROUTE_TO_DROPOFF)
            draft.move_all(stop, _D.ENROUTE_TO_DROPOFF, _D.ARRIVED_AT_DROPOFF)
    return draft.step()


def on_pickup_confirm(stops: Sequence[StopState], stop_id: UUID, statuses: Statuses) -> Step | StepRefused:
    """The packages of a store stop are in the car; what of them, `pickups.judge_pickup` has decided before."""
    stop = _find(stops, stop_id)
    if isinstance(stop, StepRefused):
        return stop
    if stop.kind is not _K.STORE or stop.status in STOP_ENDED or not _waiting_at(stop, statuses):
        current = statuses.get(stop.delivery_ids[0])
        return StepRefused(ErrorCode.ILLEGAL_TRANSITION, "nothing to pick up at this stop", current)
    draft = _Draft(stops, statuses)
    draft.move_all(stop, _D.ARRIVED_AT_PICKUP, _D.PICKED_UP)
    draft.change(stop, _S.DONE)
    return draft.step()


def on_deliver(stops: Sequence[StopState], delivery_id: UUID, statuses: Statuses) -> Step | StepRefused:
    """The delivery is at its door and every proof is met."""
    stop = next((each for each in stops if each.kind is _K.DOOR and delivery_id in each.delivery_ids), None)
    if stop is None:
        return StepRefused(ErrorCode.NOT_FOUND, "no such delivery on this route")
    status = statuses.get(delivery_id)
    if status is not _D.ARRIVED_AT_DROPOFF or stop.status in STOP_ENDED:
        return StepRefused(ErrorCode.ILLEGAL_TRANSITION, "the driver is not at this door", status)
    draft = _Draft(stops, statuses)
    draft.move_all(stop, _D.ARRIVED_AT_DROPOFF, _D.DELIVERED)
    draft.change(stop, _S.DONE)
    return draft.step()


def on_statuses_changed(stops: Sequence[StopState], statuses: Statuses) -> Step:
    """After something else ended deliveries of the route (a cancellation, say): skip what has no work left."""
    return _Draft(stops, statuses).step()


class _Draft:
    """One step in the making: a private copy of the statuses and what has changed so far."""

    def __init__(self, stops: Sequence[StopState], statuses: Statuses) -> None:
        self._stops: Final = sorted(stops, key=lambda stop: stop.sequence)
        self._stop_status = {stop.stop_id: stop.status for stop in stops}
        self._statuses = dict(statuses)
        self._transitions: list[Transition] = []
        self._changes: list[StopChange] = []

    def move_all(self, stop: StopState, source: DeliveryStatus, target: DeliveryStatus) -> None:
        for delivery_id in stop.delivery_ids:
            if self._statuses.get(delivery_id) is source:
                self._statuses[delivery_id] = target
                self._transitions.append(Transition(delivery_id, source, target))

    def change(self, stop: StopState, status: StopStatus) -> None:
        self._stop_status[stop.stop_id] = status
        self._changes.append(StopChange(stop.stop_id, status))

    def step(self, *, departed: UUID | None = None) -> Step:
        open_stops = self._skip_idle()
        if open_stops and open_stops[0].kind is _K.DOOR:
            self.move_all(open_stops[0], _D.PICKED_UP, _D.ENROUTE_TO_DROPOFF)
        ended = not open_stops and all(status in TERMINAL for status in self._statuses.values())
        return Step(tuple(self._transitions), tuple(self._changes), departed, ended)

    def _skip_idle(self) -> list[StopState]:
        open_stops: list[StopState] = []
        for stop in self._stops:
            if self._stop_status[stop.stop_id] in STOP_ENDED:
                continue
            if any(_has_work(stop.kind, self._statuses.get(each)) for each in stop.delivery_ids):
                open_stops.append(stop)
            else:
                self.change(stop, _S.SKIPPED)
        return open_stops


def _has_work(kind: StopKind, status: DeliveryStatus | None) -> bool:
    return status in BEFORE_CUSTODY or (kind is _K.DOOR and status in TO_CUSTOMER)


def _waiting_at(stop: StopState, statuses: Statuses) -> bool:
    return any(statuses.get(each) is _D.ARRIVED_AT_PICKUP for each in stop.delivery_ids)


def _reachable(stops: Sequence[StopState], stop: StopState, statuses: Statuses) -> bool:
    """The next stop; inside the mall also any counter with something waiting, whatever the walking order says."""
    return next_stop(stops) == stop or (stop.kind is _K.STORE and _waiting_at(stop, statuses))


def _find(stops: Sequence[StopState], stop_id: UUID) -> StopState | StepRefused:
    found = next((stop for stop in stops if stop.stop_id == stop_id), None)
    return found if found is not None else StepRefused(ErrorCode.NOT_FOUND, "no such stop on this route")


def _not_next(stop: StopState) -> StepRefused:
    return StepRefused(ErrorCode.ILLEGAL_TRANSITION, "another stop comes first", stop.status.value)
