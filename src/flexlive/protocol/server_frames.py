"""Server → client. Facts carry `seq`; state is newest-wins; control and `result` frames carry neither.

Clients decode these with unknown fields ignored. Words that may grow (`code`, `reason`, `status`) are plain
strings here, so that an old app survives a new one.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from msgspec import Raw, Struct

from flexlive.protocol.views import EnrolmentView, InboxItem, NoticeView, OfferView, PositionView, RouteView


class ServerFrame(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag_field="type"):
    """Any frame from the server."""


class Limits(Struct, frozen=True, gc=False, kw_only=True):
    frame_bytes_max: int
    points_max: int
    commands_burst_per_second: int
    commands_per_minute: int
    ack_delay_seconds_max: float


class Welcome(ServerFrame, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="welcome"):
    """A new session; `snapshot` follows. results: stored answers to `hello.unacked`, byte for byte."""

    sid: str
    epoch: str
    seq: int
    server_time: datetime
    heartbeat_seconds: float
    resume_window_seconds: float
    limits: Limits
    results: tuple[Raw, ...] = ()
    unknown_commands: tuple[str, ...] = ()


class Resumed(
    ServerFrame, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="resumed", rename={"from_": "from"}
):
    """The session lives on: exactly the facts `from` + 1 … `to` follow in order, then `live`."""

    from_: int
    to: int
    results: tuple[Raw, ...] = ()
    unknown_commands: tuple[str, ...] = ()


class Reset(ServerFrame, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="reset"):
    """Resume refused: forget what you know. The other fields are those of `welcome`; `snapshot` follows."""

    reason: str
    sid: str
    epoch: str
    seq: int
    server_time: datetime
    heartbeat_seconds: float
    resume_window_seconds: float
    limits: Limits
    results: tuple[Raw, ...] = ()
    unknown_commands: tuple[str, ...] = ()


class Live(ServerFrame, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="live"):
    pass


class Snapshot(ServerFrame, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="snapshot"):
    """All a driver is entitled to know at `seq`; facts after it may repeat it."""

    seq: int
    presence: str
    routes: tuple[RouteView, ...]
    offers: tuple[OfferView, ...]
    inbox: tuple[InboxItem, ...] = ()
    position: PositionView | None = None
    queue: dict[str, Any] | None = None


class ServerHeartbeat(ServerFrame, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="heartbeat"):
    pass


class Drain(ServerFrame, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="drain"):
    reconnect_after_ms: int


class Error(ServerFrame, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="error"):
    code: str
    message: str


class Result(ServerFrame, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="result"):
    """The one answer to a command. ok: the command took effect; code: one of ResultCode."""

    cmd: str
    ok: bool
    code: str
    retry_after_ms: int | None = None
    current: dict[str, Any] | None = None


class Fact(ServerFrame, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    seq: int


class OfferOpen(OfferView, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag_field="type", tag="offer.open"):
    seq: int


class OfferUpdate(
    OfferView, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag_field="type", tag="offer.update"
):
    seq: int


class OfferGone(Fact, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="offer.gone"):
    offer_id: UUID
    reason: str


class OfferDecided(Fact, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="offer.decided"):
    offer_id: UUID
    outcome: str
    seed: str | None = None
    entrants_sha256: str | None = None


class RouteUpdate(
    RouteView, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag_field="type", tag="route.update"
):
    seq: int


class DeliveryUpdate(Fact, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="delivery.update"):
    delivery_id: UUID
    status: str
    readiness: str
    version: int


class Notice(NoticeView, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag_field="type", tag="notice"):
    seq: int


class EnrolmentUpdate(
    EnrolmentView, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag_field="type", tag="enrolment.update"
):
    seq: int


class Skip(Fact, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="skip"):
    """A fact that has died meanwhile; it keeps its place in the count."""


class EtaUpdate(ServerFrame, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="eta.update"):
    stop_id: UUID
    eta_at: datetime


class QueueUpdate(ServerFrame, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="queue.update"):
    site_id: UUID
    position_low: int
    position_high: int


FactMessage: TypeAlias = (
    OfferOpen | OfferUpdate | OfferGone | OfferDecided | RouteUpdate | DeliveryUpdate | Notice | EnrolmentUpdate | Skip
)  # fmt: skip
StateMessage: TypeAlias = EtaUpdate | QueueUpdate
ControlMessage: TypeAlias = Welcome | Resumed | Reset | Live | Snapshot | ServerHeartbeat | Drain | Error | Result
ServerMessage: TypeAlias = FactMessage | StateMessage | ControlMessage
