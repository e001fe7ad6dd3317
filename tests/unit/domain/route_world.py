"""A route that steps are applied to as the use cases do, each checked against the tables."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from flexlive.domain.actors import ActorType
from flexlive.domain.deliveries import TERMINAL, DeliveryStatus, after_transfer, can
from flexlive.domain.incidents import Resolution
from flexlive.domain.incidents import on_incident as incident
from flexlive.domain.incidents import on_resolve as resolve
from flexlive.domain.returns import on_return_confirm
from flexlive.domain.routes import (
    Step,
    StepRefused,
    on_check_in,
    on_deliver,
    on_pickup_confirm,
)
from flexlive.domain.stops import STOP_TRANSITIONS, RouteStatus, StopKind, StopState, StopStatus, next_stop
from flexlive.domain.transfers import on_transfer_in, on_transfer_out
from tests.unit.domain.builders import uid

D, K, S, R = DeliveryStatus, StopKind, StopStatus, Resolution
STORES = 9000
ACTORS = (ActorType.DRIVER, ActorType.OPS, ActorType.MERCHANT)


class Route:
    """A route that steps are applied to as the use cases do, each checked against the tables."""

    def __init__(self, stores: list[list[int]]) -> None:
        ids = [uid(number) for store in stores for number in store]
        self.stores = {uid(number): uid(STORES + index) for index, store in enumerate(stores) for number in store}
        plan: list[tuple[StopKind, tuple[UUID, ...], UUID | None]] = [(K.SITE, tuple(ids), None)]
        plan += [(K.STORE, tuple(map(uid, store)), uid(STORES + index)) for index, store in enumerate(stores)]
        plan += [(K.DOOR, (each,), None) for each in ids]
        self.stops = [StopState(uid(1000 + n), n, kind, S.PENDING, of, at) for n, (kind, of, at) in enumerate(plan, 1)]
        self.statuses = dict.fromkeys(ids, D.CONFIRMED)
        self.seen: dict[UUID, DeliveryStatus] = dict(self.statuses)
        self.ended: RouteStatus | None = None

    def apply(self, step: Step | StepRefused) -> Step:
        assert isinstance(step, Step), step
        for move in step.transitions:
            here = self.statuses.get(move.delivery_id)
            if here is None:
                assert after_transfer(move.from_status) is move.to_status
            else:
                assert here is move.from_status
                assert any(can(move.from_status, move.to_status, actor) for actor in ACTORS)
            self.statuses[move.delivery_id] = self.seen[move.delivery_id] = move.to_status
            if move.to_status is D.CREATED:
                del self.statuses[move.delivery_id]
        for change in step.stops:
            index = next(i for i, stop in enumerate(self.stops) if stop.stop_id == change.stop_id)
            assert (self.stops[index].status, change.status) in STOP_TRANSITIONS
            self.stops[index] = replace(self.stops[index], status=change.status)
        for added in step.added:
            number = len(self.stops) + 1
            self.stops.append(
                StopState(uid(1000 + number), number, added.kind, S.PENDING, added.delivery_ids, added.store_id)
            )
        self.prune()
        if self.ended is not None:
            assert not step.transitions
            assert not step.added
        self.ended = self.ended or step.ended
        self.check()
        return step

    def prune(self) -> None:
        """As the rows are read: what has left the route is no business of its stops."""
        self.stops = [
            stop
            if stop.kind is K.HANDOVER
            else replace(stop, delivery_ids=tuple(each for each in stop.delivery_ids if each in self.statuses))
            for stop in self.stops
        ]

    def check(self) -> None:
        own_leg = {each for each, at in self.statuses.items() if at in (D.ENROUTE_TO_DROPOFF, D.ARRIVED_AT_DROPOFF)}
        following = next_stop(self.stops)
        doors = set(following.delivery_ids) if following is not None and following.kind is K.DOOR else set()
        assert own_leg == {each for each in doors if each in self.statuses}, "one customer at a time, and only next"
        assert [stop.sequence for stop in self.stops] == list(range(1, len(self.stops) + 1))
        going_back = {each for each, at in self.statuses.items() if at in (D.ENROUTE_TO_RETURN, D.ARRIVED_AT_RETURN)}
        returns = [stop for stop in self.open() if stop.kind is K.RETURN]
        assert going_back == {each for stop in returns for each in stop.delivery_ids if each in going_back}
        for each in going_back:
            [stop] = [stop for stop in returns if each in stop.delivery_ids]
            assert stop.store_id == self.stores[each]
        pending = [stop.store_id for stop in returns if stop.status is S.PENDING]
        assert len(pending) == len(set(pending)), "one way back per store"
        over = following is None and all(at in TERMINAL for at in self.statuses.values())
        assert (self.ended is not None) == over

    def open(self) -> list[StopState]:
        return [stop for stop in self.stops if stop.status in (S.PENDING, S.ARRIVED)]

    def stop(self, kind: StopKind, index: int = 0) -> UUID:
        return [stop.stop_id for stop in self.open() if stop.kind is kind][index]

    def incident(self, number: int, decision: Resolution | None) -> Step:
        each = uid(number)
        return self.apply(incident(self.stops, each, self.statuses, decision, store_id=self.stores[each]))

    def resolve(self, number: int, resolution: Resolution) -> Step:
        each = uid(number)
        return self.apply(resolve(self.stops, each, self.statuses, resolution, store_id=self.stores[each]))

    def drive_on(self) -> None:
        """A diligent driver, and operators who send back whatever nobody wants."""
        for _ in range(100):
            for each, at in sorted(self.statuses.items()):
                if at is D.UNDELIVERABLE and not any(
                    stop.kind is K.DOOR and each in stop.delivery_ids for stop in self.open()
                ):
                    self.resolve(each.int, R.RETURN_TO_PICKUP)
            stop = next_stop(self.stops)
            if stop is None:
                return
            self.apply(on_check_in(self.stops, stop.stop_id, self.statuses))
            if stop.kind is K.STORE:
                self.apply(on_pickup_confirm(self.stops, stop.stop_id, self.statuses))
            elif stop.kind is K.DOOR:
                self.apply(on_deliver(self.stops, stop.delivery_ids[0], self.statuses))
            elif stop.kind is K.RETURN:
                self.apply(on_return_confirm(self.stops, stop.stop_id, self.statuses))
        raise AssertionError("the route does not end")


def on_the_road(stores: list[list[int]]) -> Route:
    route = Route(stores)
    route.apply(on_check_in(route.stops, route.stop(K.SITE), route.statuses))
    for _ in stores:
        route.apply(on_pickup_confirm(route.stops, route.stop(K.STORE), route.statuses))
    return route


def take_over(first: Route, delivery_ids: list[UUID]) -> Route:
    """Both halves of a transfer, as the scan of the last package does them."""
    second = Route([])
    second.stops = [StopState(uid(5000), 1, K.HANDOVER, S.PENDING, tuple(delivery_ids))]
    second.ended, second.stores = None, first.stores
    incoming = {each: first.statuses[each] for each in delivery_ids}
    second.apply(on_transfer_in(second.stops, uid(5000), {}, incoming, doors=sorted(delivery_ids), stores=first.stores))
    step = on_transfer_out(first.stops, delivery_ids, first.statuses)
    for each in delivery_ids:
        del first.statuses[each]
    first.prune()
    first.apply(step)
    return second
