"""One step of a route in the making: the values it is made of, and the draft that ends every step by advancing.

Advancing: stops with nothing left to do are skipped, and the delivery whose door became the next stop – that one and
no other – is `enroute_to_dropoff`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias
from uuid import UUID

from flexlive.domain.deliveries import BEFORE_CUSTODY, TERMINAL, TO_CUSTOMER, DeliveryStatus
from flexlive.domain.errors import ErrorCode
from flexlive.domain.stops import STOP_ENDED, RouteStatus, StopKind, StopState, StopStatus, next_stop

_D, _K, _S = DeliveryStatus, StopKind, StopStatus
Statuses: TypeAlias = Mapping[UUID, DeliveryStatus]
"""The deliveries that are on this driver's route now; one that left it is absent."""

RETURNING: Final = frozenset({_D.ENROUTE_TO_RETURN, _D.ARRIVED_AT_RETURN})


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
class AddedStop:
    """A stop to append to the route, in the order given. A door belongs to one delivery, a return to one store."""

    kind: StopKind
    delivery_ids: tuple[UUID, ...]
    store_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What follows from one action. departed_stop_id: the stop the driver has set off to, if the action said so.
    ended: how the route is over – no stop is left and every delivery has ended or left; None while it goes on.
    Nothing in it means: recorded, changes nothing."""

    transitions: tuple[Transition, ...] = ()
    stops: tuple[StopChange, ...] = ()
    added: tuple[AddedStop, ...] = ()
    departed_stop_id: UUID | None = None
    ended: RouteStatus | None = None


@dataclass(frozen=True, slots=True)
class StepRefused:
    """current: the status that stood in the way, for the answer's `current`."""

    code: ErrorCode
    detail: str
    current: str | None = None


class Draft:
    """A private copy of the statuses and what has changed so far."""

    def __init__(self, stops: Sequence[StopState], statuses: Statuses) -> None:
        self._stops: Final = sorted(stops, key=lambda stop: stop.sequence)
        self._stop_status = {stop.stop_id: stop.status for stop in stops}
        self._statuses = dict(statuses)
        self._transitions: list[Transition] = []
        self._changes: list[StopChange] = []
        self._added: list[AddedStop] = []

    def move(self, delivery_id: UUID, target: DeliveryStatus) -> None:
        """One transition, from wherever the delivery is."""
        self._transitions.append(Transition(delivery_id, self._statuses[delivery_id], target))
        self._statuses[delivery_id] = target

    def move_all(self, delivery_ids: Sequence[UUID], source: DeliveryStatus, target: DeliveryStatus) -> None:
        """Those of these deliveries that are at source."""
        for delivery_id in delivery_ids:
            if self._statuses.get(delivery_id) is source:
                self.move(delivery_id, target)

    def leave(self, delivery_id: UUID) -> None:
        """The delivery is on this route no more."""
        del self._statuses[delivery_id]

    def take_in(self, delivery_id: UUID, source: DeliveryStatus, target: DeliveryStatus) -> None:
        """A delivery comes from another route, where it was at source."""
        self._statuses[delivery_id] = target
        self._transitions.append(Transition(delivery_id, source, target))

    def change(self, stop_id: UUID, status: StopStatus) -> None:
        self._stop_status[stop_id] = status
        self._changes.append(StopChange(stop_id, status))

    def close_doors(self, delivery_id: UUID) -> None:
        """No open door is left for this delivery."""
        for stop in self._open():
            if stop.kind is _K.DOOR and delivery_id in stop.delivery_ids:
                self.change(stop.stop_id, _S.SKIPPED)

    def add_door(self, delivery_id: UUID) -> None:
        """One more try at this door: behind all other doors, but before anything is taken back."""
        returns = [stop for stop in self._open() if stop.kind is _K.RETURN and stop.status is _S.PENDING]
        self._added.append(AddedStop(_K.DOOR, (delivery_id,)))
        for stop in returns:
            self.change(stop.stop_id, _S.SKIPPED)
            self._added.append(AddedStop(_K.RETURN, stop.delivery_ids, stop.store_id))

    def add_return(self, delivery_id: UUID, store_id: UUID) -> None:
        """Back to this store at the route's end, in one go with whatever else goes back there."""
        together = (delivery_id,)
        for stop in self._open():
            if stop.kind is _K.RETURN and stop.store_id == store_id and stop.status is _S.PENDING:
                self.change(stop.stop_id, _S.SKIPPED)
                together = (*stop.delivery_ids, *together)
        for index, stop in enumerate(self._added):
            if stop.kind is _K.RETURN and stop.store_id == store_id:
                together = (*stop.delivery_ids, *together)
                del self._added[index]
                break
        self._added.append(AddedStop(_K.RETURN, tuple(dict.fromkeys(together)), store_id))

    def step(self, *, departed: UUID | None = None, ended_as: RouteStatus = RouteStatus.CANCELLED) -> Step:
        """Advance and finish. ended_as: what the route is when it is over and nothing on it has come to an end."""
        following = self._skip_idle()
        if following is not None and following[0] is _K.DOOR:
            self.move_all(following[1], _D.PICKED_UP, _D.ENROUTE_TO_DROPOFF)
            # A door that is still open for something undeliverable is another try.
            self.move_all(following[1], _D.UNDELIVERABLE, _D.ENROUTE_TO_DROPOFF)
        ended: RouteStatus | None = None
        if following is None and all(status in TERMINAL for status in self._statuses.values()):
            worked = any(status is not _D.CANCELLED for status in self._statuses.values())
            ended = RouteStatus.COMPLETED if worked else ended_as
        return Step(tuple(self._transitions), tuple(self._changes), tuple(self._added), departed, ended)

    def _open(self) -> list[StopState]:
        return [stop for stop in self._stops if self._stop_status[stop.stop_id] not in STOP_ENDED]

    def _skip_idle(self) -> tuple[StopKind, tuple[UUID, ...]] | None:
        """Skip what has no work; the kind and deliveries of the stop that is next now."""
        following: tuple[StopKind, tuple[UUID, ...]] | None = None
        for stop in self._open():
            if not _has_work(stop, self._statuses):
                self.change(stop.stop_id, _S.SKIPPED)
            elif following is None:
                following = stop.kind, stop.delivery_ids
        if following is None and self._added:
            return self._added[0].kind, self._added[0].delivery_ids
        return following


def waiting_at(stop: StopState, statuses: Statuses) -> bool:
    """Something can be picked up at this stop."""
    return any(statuses.get(each) is _D.ARRIVED_AT_PICKUP for each in stop.delivery_ids)


def reachable(stops: Sequence[StopState], stop: StopState, statuses: Statuses) -> bool:
    """The next stop; inside the mall also any counter with something waiting, whatever the walking order says."""
    return next_stop(stops) == stop or (stop.kind is _K.STORE and waiting_at(stop, statuses))


def find(stops: Sequence[StopState], stop_id: UUID) -> StopState | StepRefused:
    found = next((stop for stop in stops if stop.stop_id == stop_id), None)
    return found if found is not None else StepRefused(ErrorCode.NOT_FOUND, "no such stop on this route")


def not_next(stop: StopState) -> StepRefused:
    return StepRefused(ErrorCode.ILLEGAL_TRANSITION, "another stop comes first", stop.status.value)


def refused(detail: str, status: DeliveryStatus | None) -> StepRefused:
    """illegal_transition, with the status that stood in the way; not_found for a delivery of another route."""
    if status is None:
        return StepRefused(ErrorCode.NOT_FOUND, "no such delivery on this route")
    return StepRefused(ErrorCode.ILLEGAL_TRANSITION, detail, status.value)


def _has_work(stop: StopState, statuses: Statuses) -> bool:
    at = [statuses.get(each) for each in stop.delivery_ids]
    match stop.kind:
        case _K.SITE | _K.STORE:
            return any(status in BEFORE_CUSTODY for status in at)
        case _K.DOOR:
            return any(status in BEFORE_CUSTODY | TO_CUSTOMER | {_D.UNDELIVERABLE} for status in at)
        case _K.RETURN:
            return any(status in RETURNING for status in at)
        case _K.HANDOVER:
            # They are on the first driver's route until the scan; a transfer called off leaves the list empty.
            return bool(stop.delivery_ids)
