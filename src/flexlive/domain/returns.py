"""Back at the store: what was brought back, and whether the counter agrees."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from flexlive.domain.deliveries import DeliveryStatus
from flexlive.domain.errors import ErrorCode
from flexlive.domain.packages import PackageCustody
from flexlive.domain.pickups import PackageState
from flexlive.domain.route_drafts import Draft, Statuses, Step, StepRefused, find
from flexlive.domain.stops import STOP_ENDED, StopKind, StopState, StopStatus

_D = DeliveryStatus


def not_rescanned(packages: Sequence[PackageState]) -> tuple[str, ...]:
    """Barcodes of the packages on board that no phone has read again."""
    return tuple(each.barcode for each in packages if each.custody is PackageCustody.HELD and not each.rescanned)


def on_return_confirm(stops: Sequence[StopState], stop_id: UUID, statuses: Statuses) -> Step | StepRefused:
    """The store has taken everything of this stop back; the caller has seen every package scanned and the code."""
    stop = find(stops, stop_id)
    if isinstance(stop, StepRefused):
        return stop
    back = [each for each in stop.delivery_ids if statuses.get(each) is _D.ARRIVED_AT_RETURN]
    if stop.kind is not StopKind.RETURN or stop.status in STOP_ENDED or not back:
        current = statuses.get(stop.delivery_ids[0]) if stop.delivery_ids else None
        return StepRefused(ErrorCode.ILLEGAL_TRANSITION, "nothing to give back at this stop", current)
    draft = Draft(stops, statuses)
    draft.move_all(back, _D.ARRIVED_AT_RETURN, _D.RETURNED)
    draft.change(stop.stop_id, StopStatus.DONE)
    return draft.step()
