"""What operators send and get to open an offer type to a market's drivers: notices, enrolments, documents, pilots.

A field nobody knows is refused, as in `protocol.ops`. Money integer cents, time RFC 3339 with an offset.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta, Struct

from flexlive.protocol.merchant import Name, OfferTypeName, Text
from flexlive.protocol.ops_actions import Reasoned
from flexlive.protocol.wire_types import Cmd, Time

AUDIENCE_DRIVERS_MAX = 1000
AUDIENCE_CELLS_MAX = 1000
PILOT_SCOPE_MAX = 200

Title = Annotated[str, Meta(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f\x7f]{1,120}(?![\s\S])")]
Body = Annotated[str, Meta(min_length=1, max_length=2000, pattern=r"^[^\x00]{1,2000}(?![\s\S])")]
ActionWord = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_.-]{0,39}(?![\s\S])")]
CellText = Annotated[str, Meta(pattern=r"^[0-9a-f]{15}(?![\s\S])")]
Share = Annotated[float, Meta(ge=0, le=1)]
DriverIds = Annotated[tuple[UUID, ...], Meta(max_length=AUDIENCE_DRIVERS_MAX)]
ArmName = Literal["cohort", "control"]
PilotStatusName = Literal["scheduled", "running", "ended", "killed"]
EnrolmentStatusName = Literal["invited", "interested", "documents", "active", "suspended"]
DocumentStatusName = Literal["submitted", "approved", "rejected"]
MeasureName = Literal["earnings_cents", "deliveries", "accept_share", "in_window_share"]


class Audience(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """market: every driver of it. cells: drivers whose last position lies in them. drivers: these. pilot: an arm."""

    kind: Literal["market", "cells", "drivers", "pilot"]
    cells: Annotated[tuple[CellText, ...], Meta(max_length=AUDIENCE_CELLS_MAX)] = ()
    driver_ids: DriverIds = ()
    pilot_id: UUID | None = None
    arm: ArmName = "cohort"


class CreateNotice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """offer_type: what it invites to; whoever gets it may answer. action: a word for the app's button."""

    title: Title
    body: Body
    audience: Audience
    action: ActionWord | None = None
    offer_type: OfferTypeName | None = None
    expires_at: Time


class Notice(Struct, frozen=True, kw_only=True):
    """sent: drivers who have got it so far."""

    notice_id: UUID
    title: str
    body: str
    action: str | None
    offer_type: str | None
    audience: Audience
    author: str
    created_at: datetime
    expires_at: datetime
    sent: int


class Funnel(Struct, frozen=True, kw_only=True):
    """Drivers; each step counts only who took the one before. Medians: seconds since the notice, of who took it."""

    sent: int
    seen: int
    opted_in: int
    first_accept: int
    seen_seconds_median: float | None
    opted_in_seconds_median: float | None
    first_accept_seconds_median: float | None


class Enrolment(Struct, frozen=True, kw_only=True):
    """terms_version: accepted last; terms_version_now: in force. eligible: papers are in order at this moment."""

    driver_id: UUID
    offer_type: str
    status: EnrolmentStatusName
    terms_version: int | None
    terms_version_now: int
    documents_missing: tuple[str, ...]
    eligible: bool
    reason: str | None
    interested_at: datetime | None
    activated_at: datetime | None
    updated_at: datetime


class EnrolmentPage(Struct, frozen=True, kw_only=True):
    """next_after: send it as `after` for the following page; None at the end."""

    enrolments: tuple[Enrolment, ...]
    next_after: UUID | None


class PutEnrolment(Reasoned, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """invited: where there is none yet. suspended: where it is active. active: where it is suspended."""

    status: Literal["invited", "active", "suspended"]


class DriverDocument(Struct, frozen=True, kw_only=True):
    """upload_id: the bytes, for operators to look at."""

    driver_id: UUID
    document: str
    status: DocumentStatusName
    upload_id: str | None
    reason: str | None
    reviewed_by: str | None
    expires_at: datetime | None
    updated_at: datetime


class PutDocument(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A decision on a driver's document. expires_at: until when an approval holds; always when left out."""

    status: Literal["approved", "rejected"]
    reason: Text = ""
    expires_at: Time | None = None


class SubmitDocument(Struct, frozen=True, kw_only=True):
    """A driver's document: something uploaded before."""

    upload_id: Cmd


class Split(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every driver of the market by lot; the lot of a driver in a pilot is always the same."""

    cohort_share: Share = 0.5
    control_share: Share = 0.5


class AddMembers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is in an arm already stays there. split: draws lots for every driver who is in neither."""

    split: Split | None = None
    cohort: DriverIds = ()
    control: DriverIds = ()


class CreatePilot(AddMembers, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Empty site_ids, merchant_ids: all of them. starts_at: now when left out."""

    name: Name
    offer_type: OfferTypeName
    site_ids: Annotated[tuple[UUID, ...], Meta(max_length=PILOT_SCOPE_MAX)] = ()
    merchant_ids: Annotated[tuple[UUID, ...], Meta(max_length=PILOT_SCOPE_MAX)] = ()
    starts_at: Time | None = None
    ends_at: Time


class Pilot(Struct, frozen=True, kw_only=True):
    pilot_id: UUID
    name: str
    offer_type: str
    site_ids: tuple[UUID, ...]
    merchant_ids: tuple[UUID, ...]
    status: PilotStatusName
    starts_at: datetime
    ends_at: datetime
    killed_at: datetime | None
    killed_reason: str | None
    cohort_drivers: int
    control_drivers: int
    created_at: datetime


class PilotKilled(Struct, frozen=True, kw_only=True):
    pilot: Pilot
    offers_withdrawn: int


class ArmMeasure(Struct, frozen=True, kw_only=True):
    """drivers: those the measure is known of. mean: per driver."""

    drivers: int
    mean: float | None


class Effect(Struct, frozen=True, kw_only=True):
    """difference: cohort − control of the means; low, high: its interval at `confidence` by Welch."""

    measure: MeasureName
    cohort: ArmMeasure
    control: ArmMeasure
    difference: float | None
    low: float | None
    high: float | None
    confidence: float


class PilotReport(Struct, frozen=True, kw_only=True):
    """from_at, to_at: what was measured lies between them. funnel: of the cohort, by notices of this offer type."""

    pilot: Pilot
    currency: str
    from_at: datetime
    to_at: datetime
    funnel: Funnel
    effects: tuple[Effect, ...]
