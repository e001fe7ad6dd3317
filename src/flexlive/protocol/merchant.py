"""What a merchant's system sends and gets over HTTP. Money integer cents, time RFC 3339 with an offset, weight grams.

Bounds stand in the types, so a decoded request is a valid one.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Annotated, Literal, cast
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from flexlive.protocol.wire_types import Lat, Lon, Time

PACKAGES_MAX = 50
BARCODES_MAX = 200
OFFER_TYPE_DEFAULT = "retail_delivery"

# `(?![\s\S])` is "end of text" in every regex dialect; `$` would let a trailing newline through.
# PostgreSQL cannot store U+0000, and nobody's name or order number holds a control character.
LINE = r"^[^\x00-\x1f\x7f]*(?![\s\S])"
EXTERNAL_ID = r"^[^\x00-\x1f\x7f]{1,128}(?![\s\S])"

ExternalId = Annotated[str, Meta(min_length=1, max_length=128, pattern=EXTERNAL_ID)]
Line = Annotated[str, Meta(max_length=200, pattern=LINE)]
Name = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]{1,100}(?![\s\S])")]
Phone = Annotated[str, Meta(max_length=32, pattern=r"^(\+?[0-9 ().-]{3,31})?(?![\s\S])")]
Text = Annotated[str, Meta(max_length=1000, pattern=r"^[^\x00]*(?![\s\S])")]
Cents = Annotated[int, Meta(ge=0, le=100_000_000)]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}(?![\s\S])")]
Barcode = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[!-~]{1,64}(?![\s\S])")]
Pincode = Annotated[str, Meta(pattern=r"^[0-9]{4,8}(?![\s\S])")]
OfferTypeName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,39}(?![\s\S])")]

ServiceLevelName = Literal["express", "same_day", "two_day"]
UndeliverableAction = Literal["return_to_pickup", "leave_at_door", "dispose"]
PackageSize = Literal["small", "medium", "large", "extra_large"]
StoreReadiness = Literal["preparing", "ready", "delayed", "handed_over", "unavailable"]
CancelReason = Literal[
    "merchant_cancelled", "customer_cancelled", "item_missing", "merchant_closed", "merchant_not_ready", "other"
]


class DropoffVerification(Struct, frozen=True, omit_defaults=True):
    """What must be shown at the door. pincode: true = we draw a 4-digit one, or the merchant's own digits."""

    photo: bool = False
    signature: bool = False
    pincode: bool | Pincode = False
    min_age: Annotated[int, Meta(ge=1, le=99)] | None = None
    barcodes: Annotated[tuple[Barcode, ...], Meta(max_length=BARCODES_MAX)] = ()


class PackageRequest(Struct, frozen=True, omit_defaults=True):
    """One parcel. Without a barcode we issue a label of our own."""

    size: PackageSize = "small"
    weight_grams: Annotated[int, Meta(ge=0, le=200_000)] = 1000
    must_be_upright: bool = False
    barcode: Barcode | None = None


class CreateDelivery(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """POST /v1/deliveries. Times left out follow from the service level and the store's preparation time."""

    external_delivery_id: ExternalId
    external_store_id: ExternalId
    service_level: ServiceLevelName
    dropoff_address: Annotated[str, Meta(min_length=1, max_length=200, pattern=LINE)]
    dropoff_lat: Lat
    dropoff_lon: Lon
    contact_name: Name
    packages: Annotated[tuple[PackageRequest, ...], Meta(min_length=1, max_length=PACKAGES_MAX)]
    offer_type: OfferTypeName = OFFER_TYPE_DEFAULT
    dropoff_unit: Line = ""
    contact_phone: Phone = ""
    pickup_ready_at: Time | None = None
    pickup_deadline_at: Time | None = None
    dropoff_ready_at: Time | None = None
    dropoff_deadline_at: Time | None = None
    pickup_instructions: Text = ""
    dropoff_instructions: Text = ""
    order_value_cents: Cents = 0
    tip_cents: Cents = 0
    currency: Currency | None = None
    undeliverable_action: UndeliverableAction = "return_to_pickup"
    dropoff_verification: DropoffVerification = DropoffVerification()
    fulfilled_by: Name | None = None


class PackageCreated(Struct, frozen=True):
    """A parcel with the barcode the driver will scan."""

    package_id: UUID
    barcode: str
    size: PackageSize
    weight_grams: int
    must_be_upright: bool


class DeliveryCreated(Struct, frozen=True, kw_only=True):
    """201 the first time; 200 with the same bytes whenever the same request comes again.

    It says what was ordered, never what has happened since. tracking_url holds the only copy of its token.
    """

    delivery_id: UUID
    market_id: str
    external_delivery_id: str
    external_store_id: str
    store_id: UUID
    service_level: ServiceLevelName
    status: Literal["created"] = "created"
    created_at: datetime
    pickup_ready_at: datetime
    pickup_deadline_at: datetime | None
    dropoff_ready_at: datetime | None
    dropoff_deadline_at: datetime
    currency: str
    fulfilled_by: str
    packages: tuple[PackageCreated, ...]
    pincode: str | None
    tracking_url: str


class TrackingLink(Struct, frozen=True, kw_only=True):
    """The customer's present link; tracking_url holds the only copy of its token."""

    delivery_id: UUID
    tracking_url: str


class Package(Struct, frozen=True):
    package_id: UUID
    barcode: str
    size: PackageSize
    weight_grams: int
    must_be_upright: bool
    custody: str
    missing_reason: str | None


class Delivery(Struct, frozen=True, kw_only=True):
    """GET /v1/markets/{market_id}/deliveries/{delivery_id}: how it stands now."""

    delivery_id: UUID
    market_id: str
    external_delivery_id: str
    external_store_id: str
    store_id: UUID
    site_id: UUID
    offer_type: str
    service_level: ServiceLevelName
    status: str
    status_at: datetime
    readiness: str
    version: int
    reason_code: str | None
    courier_imminent: bool
    created_at: datetime
    pickup_ready_at: datetime
    pickup_deadline_at: datetime | None
    dropoff_ready_at: datetime | None
    dropoff_deadline_at: datetime
    dropoff_address: str
    dropoff_unit: str
    dropoff_lat: float
    dropoff_lon: float
    contact_name: str
    contact_phone: str
    pickup_instructions: str
    dropoff_instructions: str
    order_value_cents: int
    tip_cents: int
    currency: str
    undeliverable_action: UndeliverableAction
    dropoff_verification: DropoffVerification
    pincode: str | None
    fulfilled_by: str
    packages: tuple[Package, ...]


class SetReadiness(Struct, frozen=True):
    """POST …/readiness: what the counter says."""

    readiness: StoreReadiness


class CancelDelivery(Struct, frozen=True):
    """POST …/cancel: why the order is called off."""

    reason_code: CancelReason = "merchant_cancelled"


class DeliveryCancelled(Struct, frozen=True):
    """reason_code: of the cancellation that stands."""

    delivery_id: UUID
    status: str
    reason_code: str | None
    version: int


class ReadinessSet(Struct, frozen=True):
    delivery_id: UUID
    status: str
    readiness: str
    version: int


def canonical_sha256(request: CreateDelivery) -> bytes:
    """SHA-256 of what a request means: key order, white space, spelled-out defaults and time offsets do not matter."""
    return hashlib.sha256(msgspec.json.encode(_meaning(request), order="sorted")).digest()


def _meaning(value: object) -> object:
    # Defaults are left out by equality, so that fields added later do not make yesterday's order another one.
    match value:
        case Struct():
            return {
                field.name: _meaning(given)
                for field in msgspec.structs.fields(value)
                if (given := getattr(value, field.name)) != field.default
            }
        case tuple():
            return [_meaning(item) for item in cast("tuple[object, ...]", value)]
        case datetime():
            return value.astimezone(UTC)
        case _:
            return value
