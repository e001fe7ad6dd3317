"""The facts of one delivery: for its driver and store on `delivery:`, for its customer on `track:`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from flexlive.domain.deliveries import CUSTOMER_VISIBLE, DeliveryStatus
from flexlive.services.causes import Cause
from flexlive.storage.events import NewEvent
from flexlive.storage.pool import Record

OWN_LEG: Final = frozenset({DeliveryStatus.ENROUTE_TO_DROPOFF, DeliveryStatus.ARRIVED_AT_DROPOFF})
"""Only here may the customer know anything of the driver."""


def delivery_events(
    delivery: Record,
    driver_id: UUID | None,
    courier_first_name: str | None,
    cause: Cause,
    details: Mapping[str, object] | None = None,
) -> list[NewEvent]:
    """The events of a delivery that has just become what `delivery` (delivery_id, status, readiness, version) says.

    details: kept with the delivery's own event, shown to nobody but operators."""
    status = DeliveryStatus(delivery["status"])
    delivery_id: UUID = delivery["delivery_id"]
    update = {
        "delivery_id": delivery_id,
        "status": status.value,
        "readiness": delivery["readiness"],
        "version": delivery["version"],
    }
    data = {"driver_id": driver_id, "update": update, **(details or {})}
    events = [cause.event("delivery", delivery_id, f"delivery.{status.value}", data)]
    if status in CUSTOMER_VISIBLE:
        courier = {"first_name": courier_first_name} if courier_first_name and status in OWN_LEG else None
        shown = {"status": status.value, "at": cause.occurred_at, "courier": courier}
        # The customer's own stream never says which driver acted.
        anonymous = Cause("system", None, cause.occurred_at, cause.received_at, cause.reason_code)
        events.append(anonymous.event("track", delivery_id, f"track.{status.value}", shown))
    return events
