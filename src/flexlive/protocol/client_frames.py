"""Client → server: what a driver's app may say. Bounds live in the types, so a decoded frame is a valid one."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias
from uuid import UUID

from msgspec import Meta, Struct

from flexlive.protocol.limits import MISSING_PACKAGES_MAX, POINTS_MAX, UNACKED_CMDS_MAX
from flexlive.protocol.wire_types import (
    AccuracyM,
    BearingDeg,
    CheckInMethod,
    Cmd,
    Code,
    DeviceId,
    InboxSeq,
    Label,
    Lat,
    Lon,
    Note,
    PresenceMode,
    ProofKind,
    Seq,
    SessionId,
    Sha256,
    SpeedMps,
    Time,
    Version,
)


class Point(Struct, frozen=True, gc=False, omit_defaults=True):
    """One GPS fix. accuracy in metres (68 %), speed m/s, bearing degrees from north; mock: the phone admits a fake."""

    lat: Lat
    lon: Lon
    at: Time
    accuracy_m: AccuracyM
    speed_mps: SpeedMps | None = None
    bearing_deg: BearingDeg | None = None
    mock: bool = False


class Resume(Struct, frozen=True, gc=False):
    """Where the last session stopped: `seq` is the last fact applied."""

    sid: SessionId
    epoch: SessionId
    seq: Seq


class Missing(Struct, frozen=True, gc=False):
    """A package the store could not hand over, and why (published reason code)."""

    barcode: Code
    reason: Code


class ClientFrame(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag_field="type"):
    """Any frame from a phone; `ack` acknowledges every fact up to and including that seq."""

    ack: Seq | None = None


class Hello(ClientFrame, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="hello"):
    app_version: Code
    device_id: DeviceId
    position: Point | None = None
    resume: Resume | None = None
    inbox_seq: InboxSeq = 0
    unacked: Annotated[tuple[Cmd, ...], Meta(max_length=UNACKED_CMDS_MAX)] = ()


class Ack(ClientFrame, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="ack"):
    seq: Seq


class Heartbeat(ClientFrame, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="heartbeat"):
    pass


class Location(ClientFrame, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="location"):
    points: Annotated[tuple[Point, ...], Meta(max_length=POINTS_MAX)]


class OfferSeen(ClientFrame, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="offer.seen"):
    offer_id: UUID
    rendered_at: Time


class NoticeSeen(ClientFrame, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="notice.seen"):
    notice_id: UUID


class Sync(ClientFrame, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="sync"):
    """Asks for a fresh snapshot in this session."""


class CommandFrame(ClientFrame, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A frame that is answered by exactly one `result`. `cmd` is unique per device and repeated on retry."""

    cmd: Cmd


class PresenceSet(CommandFrame, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="presence.set"):
    mode: PresenceMode
    filters: dict[str, Any] | None = None


class OfferAccept(CommandFrame, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="offer.accept"):
    offer_id: UUID
    offer_version: Version


class OfferDecline(CommandFrame, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="offer.decline"):
    offer_id: UUID
    reason: Code | None = None


class CheckIn(CommandFrame, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="check_in"):
    stop_id: UUID
    method: CheckInMethod
    at: Time
    point: Point | None = None
    accuracy_m: AccuracyM | None = None
    qr: Note | None = None
    code: Code | None = None


class Scan(CommandFrame, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="scan"):
    stop_id: UUID
    barcode: Code
    occurred_at: Time


class PickupConfirm(CommandFrame, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="pickup.confirm"):
    stop_id: UUID
    store_code: Code
    missing: Annotated[tuple[Missing, ...], Meta(max_length=MISSING_PACKAGES_MAX)] = ()


class Depart(CommandFrame, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="depart"):
    """Setting off towards this stop."""

    stop_id: UUID


class ProofAdd(CommandFrame, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="proof.add"):
    """The hash of a proof; its bytes travel by HTTP."""

    delivery_id: UUID
    kind: ProofKind
    sha256: Sha256
    upload_id: Code | None = None
    occurred_at: Time


class Deliver(CommandFrame, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="deliver"):
    delivery_id: UUID
    pincode: Code | None = None
    recipient: Label | None = None
    left_at: Label | None = None
    occurred_at: Time


class IncidentReport(CommandFrame, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="incident.report"):
    delivery_id: UUID
    reason_code: Code
    note: Note | None = None


class ReturnConfirm(CommandFrame, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="return.confirm"):
    stop_id: UUID
    store_code: Code


class RouteForfeit(CommandFrame, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="route.forfeit"):
    route_id: UUID
    reason: Code


class EnrolmentAnswer(CommandFrame, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="enrolment.answer"):
    offer_type: Code
    accept: bool
    terms_version: Version


Command: TypeAlias = (
    PresenceSet | OfferAccept | OfferDecline | CheckIn | Scan | PickupConfirm | Depart | ProofAdd | Deliver
    | IncidentReport | ReturnConfirm | RouteForfeit | EnrolmentAnswer
)  # fmt: skip
Signal: TypeAlias = Ack | Heartbeat | Location | OfferSeen | NoticeSeen | Sync
ClientMessage: TypeAlias = Hello | Signal | Command
