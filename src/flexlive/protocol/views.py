"""What a driver is shown: offers, routes, stops. These are bodies – a frame adds `type` and `seq` around them.

Services build them for event rows and snapshots, clients decode them from frames; unknown fields are ignored.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct


class Entrance(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    name: str
    lat: float
    lon: float


class SiteView(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    id: UUID
    kind: str
    name: str
    entrance: Entrance


class StoreView(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    store_id: UUID
    name: str
    unit: str = ""
    floor: str = ""


class PayView(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    base_cents: int
    tip_cents: int
    wait_rate_cents_per_minute: int
    currency: str


class EstimateView(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    drive_seconds: int
    walk_seconds: int
    wait_seconds: int
    distance_m: int


class OfferView(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """The body of `offer.open`, `offer.update` and of `snapshot.offers[]`. dropoff_cells: lowercase hex."""

    offer_id: UUID
    offer_version: int
    offer_type: str
    shape: str
    site: SiteView
    stores: tuple[StoreView, ...]
    delivery_count: int
    package_count: int
    pay: PayView
    estimate: EstimateView
    dropoff_cells: tuple[str, ...]
    requires: tuple[str, ...] = ()
    rule: str
    opened_at: datetime
    valid_until: datetime
    draw_commitment: str | None = None
    decide_at: datetime | None = None
    starts_at: datetime | None = None


class WindowView(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    ready_at: datetime | None = None
    deadline_at: datetime | None = None


class ContactView(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    name: str
    phone: str = ""


class PackageView(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    package_id: UUID
    barcode: str
    size: str
    weight_grams: int
    must_be_upright: bool = False
    custody: str


class VerificationView(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """Which proofs the door needs; never the PIN itself."""

    photo: bool = False
    signature: bool = False
    pincode: bool = False
    min_age: int | None = None


class StopDeliveryView(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """return_cents: what bringing it back pays, from the moment it is on its way back."""

    delivery_id: UUID
    external_delivery_id: str
    status: str
    packages: tuple[PackageView, ...]
    verification: VerificationView
    return_cents: int | None = None


class StopView(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    stop_id: UUID
    sequence: int
    kind: str
    status: str
    name: str
    address: str
    lat: float
    lon: float
    geofence_radius_m: int
    site_id: UUID | None = None
    store_id: UUID | None = None
    contact: ContactView | None = None
    instructions: str = ""
    window: WindowView = WindowView()
    deliveries: tuple[StopDeliveryView, ...]


class RouteView(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """The body of `route.update` and of `snapshot.routes[]`. A route whose status is not `active` has ended."""

    route_id: UUID
    version: int
    status: str
    offer_id: UUID | None = None
    stops: tuple[StopView, ...]


class PositionView(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    lat: float
    lon: float
    at: datetime


class NoticeView(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """The body of `notice` and of an inbox item of that kind. offer_type: what it invites to, under terms_version;
    answered with `enrolment.answer`."""

    notice_id: UUID
    title: str
    body: str
    action: str | None = None
    offer_type: str | None = None
    terms_version: int | None = None
    expires_at: datetime


class EnrolmentView(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """Where a driver stands with an offer type: the body of `enrolment.update` and of an inbox item of that kind.

    terms_version: the one accepted last; terms_version_now: the one in force. documents_missing: what is asked for and
    not approved, or no longer."""

    offer_type: str
    status: str
    terms_version: int | None = None
    terms_version_now: int
    documents_missing: tuple[str, ...] = ()
    reason: str | None = None


class InboxItem(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A fact no snapshot can rebuild, kept until the phone has seen it."""

    inbox_seq: int
    kind: str
    body: dict[str, Any]
    created_at: datetime
