"""Packages that go on with a second driver: custody passes in the moment that driver has scanned them all."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from flexlive.domain.deliveries import DeliveryStatus, after_transfer
from flexlive.domain.errors import ErrorCode
from flexlive.domain.route_drafts import RETURNING, Draft, Statuses, Step, StepRefused, find
from flexlive.domain.stops import STOP_ENDED, StopKind, StopState, StopStatus


def on_transfer_out(
    stops: Sequence[StopState], delivery_ids: Collection[UUID], statuses: Statuses
) -> Step | StepRefused:
    """The first driver's route goes on without these; nothing is left of it when they were all."""
    draft = Draft(stops, statuses)
    for delivery_id in sorted(delivery_ids):
        status = statuses.get(delivery_id)
        if status is None:
            return StepRefused(ErrorCode.NOT_FOUND, "no such delivery on this route")
        if after_transfer(status) is None:
            return StepRefused(ErrorCode.ILLEGAL_TRANSITION, "there is no custody to transfer", status.value)
        draft.leave(delivery_id)
    return draft.step()


def on_transfer_in(
    stops: Sequence[StopState],
    stop_id: UUID,
    statuses: Statuses,
    incoming: Statuses,
    *,
    doors: Sequence[UUID],
    stores: Mapping[UUID, UUID],
) -> Step | StepRefused:
    """The second driver has scanned everything of a hand-over stop and drives on with it.

    incoming: where those deliveries stand on the first driver's route. doors: all of them in the order in which their
    doors would be visited. stores: delivery → the store it goes back to, should it be on its way back."""
    stop = find(stops, stop_id)
    if isinstance(stop, StepRefused):
        return stop
    if stop.kind is not StopKind.HANDOVER or stop.status in STOP_ENDED or not incoming:
        return StepRefused(ErrorCode.ILLEGAL_TRANSITION, "nothing to take over at this stop", stop.status.value)
    draft = Draft(stops, statuses)
    draft.change(stop.stop_id, StopStatus.DONE)
    back: list[UUID] = []
    for delivery_id in doors:
        status = incoming[delivery_id]
        target: DeliveryStatus | None = after_transfer(status)
        if target is None:
            return StepRefused(ErrorCode.ILLEGAL_TRANSITION, "there is no custody to transfer", status.value)
        draft.take_in(delivery_id, status, target)
        if target in RETURNING:
            back.append(delivery_id)
        else:
            draft.add_door(delivery_id)
    for delivery_id in back:
        draft.add_return(delivery_id, stores[delivery_id])
    return draft.step()
