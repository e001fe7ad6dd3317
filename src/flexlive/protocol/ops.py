"""What operators send and get over HTTP: markets, sites, retailers, offer types, drivers.

A field nobody knows is refused here: an operator's typing mistake must not become a silent default.
"""

from __future__ import annotations

from datetime import datetime, time
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta, Struct, field

from flexlive.domain.markets import MarketPolicy
from flexlive.domain.pay import PayRule
from flexlive.domain.sites import Hours
from flexlive.protocol.driver_http import E164
from flexlive.protocol.merchant import (
    LINE,
    Currency,
    ExternalId,
    Line,
    Name,
    OfferTypeName,
    Phone,
    ServiceLevelName,
    Text,
)
from flexlive.protocol.wire_types import Lat, Lon, Time

DRIVERS_MAX = 1000
OFFER_TYPES_PER_DRIVER_MAX = 20
TOKEN_TTL_SECONDS_DEFAULT = 12 * 3600
TOKEN_TTL_SECONDS_MAX = 7 * 86_400

MarketId = Annotated[str, Meta(max_length=40, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*(?![\s\S])")]
ZoneName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_+/-]+(?![\s\S])")]
Address = Annotated[str, Meta(min_length=1, max_length=200, pattern=LINE)]
DocumentName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,39}(?![\s\S])")]
LocalTime = Annotated[time, Meta(tz=False)]
IsoWeekday = Annotated[int, Meta(ge=1, le=7)]
VehicleKindName = Literal["car", "suv", "van", "bike", "scooter"]
Shape = Literal["on_demand", "wave", "block"]
SiteKindName = Literal["mall", "store", "supermarket", "station"]
MerchantScope = Literal["deliveries"]


class CreateMarket(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A city. A policy field left out has the default of `MarketPolicy`."""

    market_id: MarketId
    name: Name
    time_zone: ZoneName
    currency: Currency = "USD"
    offer_resolution: Annotated[int, Meta(ge=4, le=10)] = 7
    presence_resolution: Annotated[int, Meta(ge=7, le=12)] = 9
    policy: MarketPolicy = field(default_factory=MarketPolicy)


class PutPolicy(MarketPolicy, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole policy; a field left out has its default. Stored policies may hold fields of later versions."""


class Market(Struct, frozen=True, kw_only=True):
    market_id: str
    name: str
    time_zone: str
    currency: str
    offer_resolution: int
    presence_resolution: int
    policy: MarketPolicy
    policy_version: int
    created_at: datetime


class Entrance(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a driver stops and checks in; the geofence is around it."""

    name: Name
    lat: Lat
    lon: Lon


class CreateSite(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """geofence_radius_m: metres around the entrance; None takes the market's geofence_default_radius_m."""

    kind: SiteKindName
    name: Name
    address: Address
    lat: Lat
    lon: Lon
    entrance: Entrance
    geofence_radius_m: Annotated[int, Meta(ge=20, le=5000)] | None = None
    hours: Hours
    parking_notes: Text = ""
    parent_site_id: UUID | None = None


class Site(Struct, frozen=True, kw_only=True):
    """check_in_code: shown at the site, for phones without a position."""

    market_id: str
    site_id: UUID
    kind: SiteKindName
    name: str
    address: str
    lat: float
    lon: float
    entrance: Entrance
    geofence_radius_m: int
    hours: Hours
    parking_notes: str
    parent_site_id: UUID | None
    check_in_code: str
    created_at: datetime


class CreateMerchant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """brand: what customers read; the name when left out."""

    name: Name
    brand: Name | None = None


class Merchant(Struct, frozen=True, kw_only=True):
    merchant_id: UUID
    name: str
    brand: str
    created_at: datetime


class MerchantCreated(Struct, frozen=True, kw_only=True):
    """api_key: the only copy."""

    merchant_id: UUID
    api_key: str


class CreateStore(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A counter. Its number is the merchant's own and names one store in the whole deployment."""

    merchant_id: UUID
    site_id: UUID
    external_store_id: ExternalId
    name: Name
    unit: Line = ""
    floor: Line = ""
    phone: Phone = ""
    pickup_instructions: Text = ""
    hours: Hours
    prep_seconds_default: Annotated[int, Meta(ge=0, le=86_400)] = 600
    carry_weight_grams_max: Annotated[int, Meta(ge=1, le=1_000_000)] = 20_000


class Store(Struct, frozen=True, kw_only=True):
    """handoff_code: said at the counter when packages change hands."""

    market_id: str
    store_id: UUID
    merchant_id: UUID
    site_id: UUID
    external_store_id: str
    name: str
    unit: str
    floor: str
    phone: str
    pickup_instructions: str
    hours: Hours
    prep_seconds_default: int
    carry_weight_grams_max: int
    handoff_code: str
    created_at: datetime


class PutParticipation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A merchant takes part with its stores at a site. valid_from: now when left out."""

    merchant_id: UUID
    site_id: UUID
    offer_type: OfferTypeName
    active: bool = True
    valid_from: Time | None = None
    valid_until: Time | None = None


class Participation(Struct, frozen=True, kw_only=True):
    merchant_id: UUID
    site_id: UUID
    offer_type: str
    active: bool
    valid_from: datetime
    valid_until: datetime | None


class PutOfferType(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Name
    terms_version: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    documents_required: Annotated[tuple[DocumentName, ...], Meta(max_length=20)] = ()
    pay_rule: PayRule = field(default_factory=PayRule)
    active: bool = True


class OfferType(Struct, frozen=True, kw_only=True):
    offer_type: str
    name: str
    terms_version: int
    documents_required: tuple[str, ...]
    pay_rule: PayRule
    active: bool
    created_at: datetime


class PutServiceLevel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """promise_seconds: from the order to the door. cutoff_local, window_end_local: that day, in the market's time."""

    shape: Shape
    promise_seconds: Annotated[int, Meta(ge=60, le=14 * 86_400)]
    cutoff_local: LocalTime | None = None
    window_end_local: LocalTime | None = None
    days_of_week: Annotated[tuple[IsoWeekday, ...], Meta(min_length=1, max_length=7)] = (1, 2, 3, 4, 5, 6, 7)


class ServiceLevel(Struct, frozen=True, kw_only=True):
    service_level: ServiceLevelName
    shape: Shape
    promise_seconds: int
    cutoff_local: time | None
    window_end_local: time | None
    days_of_week: tuple[int, ...]


class Vehicle(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out has the usual measure of its kind."""

    kind: VehicleKindName = "car"
    packages_max: Annotated[int, Meta(ge=1, le=200)] | None = None
    volume_litres: Annotated[int, Meta(ge=1, le=50_000)] | None = None
    weight_grams_max: Annotated[int, Meta(ge=1, le=5_000_000)] | None = None
    carries_upright: bool | None = None


class NewDriver(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """phone: what the driver logs in with; one driver of the market has it."""

    first_name: Name
    phone: E164 | None = None
    vehicle: Vehicle = Vehicle()
    offer_types: Annotated[tuple[OfferTypeName, ...], Meta(max_length=OFFER_TYPES_PER_DRIVER_MAX)] = ()
    routes_active_max: Annotated[int, Meta(ge=1, le=8)] = 1


class ProvisionDrivers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    drivers: Annotated[tuple[NewDriver, ...], Meta(min_length=1, max_length=DRIVERS_MAX)]
    token_ttl_seconds: Annotated[int, Meta(ge=60, le=TOKEN_TTL_SECONDS_MAX)] = TOKEN_TTL_SECONDS_DEFAULT


class DriverProvisioned(Struct, frozen=True, kw_only=True):
    """access_token: the only copy."""

    driver_id: UUID
    access_token: str
    expires_at: datetime


class Driver(Struct, frozen=True, kw_only=True):
    driver_id: UUID
    first_name: str
    status: str
    presence: str
    presence_at: datetime
    routes_active_max: int
    offer_types: tuple[str, ...]
    vehicle: Vehicle | None
    created_at: datetime


class DriverPage(Struct, frozen=True, kw_only=True):
    """next_after: send it as `after` for the following page; None at the end."""

    drivers: tuple[Driver, ...]
    next_after: UUID | None


class DeliveryEvent(Struct, frozen=True, kw_only=True):
    stream: str
    seq: int
    kind: str
    occurred_at: datetime
    received_at: datetime
    actor_type: str
    actor_id: str | None
    reason_code: str | None
    data: Any
