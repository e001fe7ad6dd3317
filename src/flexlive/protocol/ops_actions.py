"""What operators ask of single deliveries, drivers and stops, and what they see of them over HTTP.

Every action says why: reason_code is one of the published ones, note is for the next operator. Money integer cents,
time RFC 3339 with an offset.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta, Struct

from flexlive.domain.alerts import AlertKind
from flexlive.domain.reasons import ReasonCode
from flexlive.protocol.merchant import Text
from flexlive.protocol.wire_types import Lat, Lon, Time

ADJUSTMENT_CENTS_MAX = 100_000
BASE_CENTS_MAX = 100_000
IDEMPOTENCY_KEY = r"^[!-~]{1,64}(?![\s\S])"

Resolution = Literal["retry", "return_to_pickup", "leave_at_door", "dispose", "lost"]
SubjectKind = Literal["delivery", "driver", "stop", "alert"]


class Reasoned(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why. Both are kept with the action."""

    reason_code: ReasonCode
    note: Text = ""


class Assign(Reasoned, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """base_cents: what it pays without tip and waiting, distance included; the offer type's pay rule when left out."""

    driver_id: UUID
    base_cents: Annotated[int, Meta(ge=0, le=BASE_CENTS_MAX)] | None = None


class Extend(Reasoned, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At least one of them; a deadline left out stays."""

    pickup_deadline_at: Time | None = None
    dropoff_deadline_at: Time | None = None


class ResolveIncident(Reasoned, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What becomes of an undeliverable delivery."""

    resolution: Resolution


class Transfer(Reasoned, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Packages on board go to a second driver. lat, lon: where the two meet; the first driver's last position when left
    out. everything_on_board: with all else that the first driver holds on the same route."""

    driver_id: UUID
    lat: Lat | None = None
    lon: Lon | None = None
    everything_on_board: bool = False


class Adjust(Reasoned, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row of money by hand; negative takes back. delivery_id: the delivery it is about, if any."""

    amount_cents: Annotated[int, Meta(ge=-ADJUSTMENT_CENTS_MAX, le=ADJUSTMENT_CENTS_MAX)]
    delivery_id: UUID | None = None


class Action(Struct, frozen=True, kw_only=True):
    """One action as it was carried out. result: what it did, by action."""

    action_id: UUID
    ops_id: UUID
    action: str
    subject_kind: str
    subject_id: str
    reason_code: str
    note: str
    result: dict[str, Any]
    created_at: datetime


class Alert(Struct, frozen=True, kw_only=True):
    """subject_id: the delivery, route or stop it is about; the other ids are where to look next."""

    alert_id: UUID
    kind: AlertKind
    subject_id: UUID
    delivery_id: UUID | None
    route_id: UUID | None
    driver_id: UUID | None
    detail: dict[str, Any]
    opened_at: datetime
    resolved_at: datetime | None
    resolved_by: str | None
    resolution: str | None


class AlertPage(Struct, frozen=True, kw_only=True):
    """Newest first. next_before: send it as `before` for the following page; None at the end."""

    alerts: tuple[Alert, ...]
    next_before: UUID | None


class Story(Struct, frozen=True, kw_only=True):
    """Everything known of one delivery, as of one moment; each list in the order it happened.

    delivery: its row, secrets left out. events: of its own streams and those of its offers and routes. offers: with
    the decisions about them. routes: with their stops. The rest: rows as they are stored.
    """

    delivery: dict[str, Any]
    packages: tuple[dict[str, Any], ...]
    events: tuple[dict[str, Any], ...]
    offers: tuple[dict[str, Any], ...]
    routes: tuple[dict[str, Any], ...]
    check_ins: tuple[dict[str, Any], ...]
    proofs: tuple[dict[str, Any], ...]
    ledger: tuple[dict[str, Any], ...]
    alerts: tuple[Alert, ...]
    actions: tuple[Action, ...]
