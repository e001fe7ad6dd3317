"""What a customer's tracking link shows, as JSON and as a stream of server-sent events.

Nothing here names the driver but `Courier`, and that exists only while the driver is on this customer's own leg.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Literal, NamedTuple
from uuid import UUID

from msgspec import Meta, Struct

StreamEventName = Literal["position", "reset", "state", "fact", "eta", "courier", "end"]
ResetReason = Literal["unknown_position", "other_epoch"]

LAST_EVENT_ID_CHARS_MAX = 64
INSTRUCTIONS_CHARS_MAX = 500
_EVENT_ID = re.compile(r"([0-9a-f]{32})-(0|[1-9][0-9]{0,17})")


class Courier(Struct, frozen=True):
    """First name only; cell is the H3 cell the driver is in (lowercase hex), None when unknown."""

    first_name: str
    cell: str | None = None


class TimelineEntry(Struct, frozen=True):
    """at: RFC 3339."""

    status: str
    at: str


class Door(Struct, frozen=True):
    """Where the customer's own door is, in degrees."""

    lat: float
    lon: float


class Arrival(Struct, frozen=True):
    """The expected arrival, and from when until when it may be: the `eta` event, and `eta` of the state."""

    arrives_at: datetime
    from_at: datetime
    until_at: datetime


class DeliveryWindow(Struct, frozen=True):
    ready_at: datetime | None
    deadline_at: datetime


class TrackState(Struct, frozen=True, kw_only=True):
    """GET /v1/track/{token}, and the `state` event: everything up to and including position `epoch`-`seq`."""

    epoch: str
    seq: int
    status: str
    status_at: datetime
    readiness: str
    terminal: bool
    external_delivery_id: str
    fulfilled_by: str
    store_name: str
    service_level: str
    package_count: int
    window: DeliveryWindow
    time_zone: str
    dropoff_address: str
    dropoff_unit: str
    dropoff_instructions: str
    instructions_editable: bool
    door: Door
    courier_imminent: bool
    courier: Courier | None
    eta: Arrival | None
    pincode: str | None
    recipient: str | None
    left_at: str | None
    reason_code: str | None
    timeline: tuple[TimelineEntry, ...]


class StreamPosition(Struct, frozen=True):
    """First event of every stream. resumed: exactly the facts after seq follow; else `state` says all up to seq."""

    epoch: str
    seq: int
    resumed: bool


class StreamReset(Struct, frozen=True):
    """The Last-Event-ID named no position of this stream: forget what was shown, `state` follows."""

    reason: ResetReason


class StreamEnd(Struct, frozen=True):
    """Nothing follows; do not reconnect."""

    status: str


class SetInstructions(Struct, frozen=True, forbid_unknown_fields=True):
    """PUT /v1/track/{token}/instructions: what the driver is to read at this customer's door; "" takes it back."""

    dropoff_instructions: Annotated[
        str, Meta(max_length=INSTRUCTIONS_CHARS_MAX, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*(?![\s\S])")
    ]


class InstructionsSet(Struct, frozen=True):
    """They are written, and on their way to the driver if there is one."""

    dropoff_instructions: str


class EventId(NamedTuple):
    epoch: str
    seq: int


def format_event_id(epoch: UUID, seq: int) -> str:
    """`<epoch as 32 hex digits>-<seq>`."""
    return f"{epoch.hex}-{seq}"


def parse_event_id(text: str) -> EventId | None:
    """The position a Last-Event-ID names; None when it is not one of ours."""
    match = _EVENT_ID.fullmatch(text) if len(text) <= LAST_EVENT_ID_CHARS_MAX else None
    return EventId(match[1], int(match[2])) if match else None
