"""Deliveries and packages from the merchant's side: ordered once, read, made ready. Their way is in routes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from flexlive.storage.pool import Connection, Executor, Record
from flexlive.storage.queries import load

_sql = load("deliveries")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    """An order as it is stored. Money integer cents, cell as H3 integer, times aware UTC."""

    delivery_id: UUID
    merchant_id: UUID
    store_id: UUID
    site_id: UUID
    offer_type: str
    service_level: str
    external_delivery_id: str
    request_sha256: bytes
    pickup_ready_at: datetime
    pickup_deadline_at: datetime | None
    dropoff_ready_at: datetime | None
    dropoff_deadline_at: datetime
    pickup_instructions: str
    dropoff_instructions: str
    dropoff_address: str
    dropoff_unit: str
    dropoff_lat: float
    dropoff_lon: float
    dropoff_cell: int
    contact_name: str
    contact_phone: str
    order_value_cents: int
    tip_cents: int
    currency: str
    undeliverable_action: str
    dropoff_verification: Any
    pincode: str | None
    fulfilled_by: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPackage:
    package_id: UUID
    barcode: str
    size: str
    weight_grams: int
    must_be_upright: bool


async def order_terms(
    conn: Executor, market_id: str, store_id: UUID, service_level: str, offer_type: str
) -> Record | None:
    """What a new delivery is judged by; columns of a missing service level, offer type or participation are null."""
    return await conn.fetchrow(
        *_sql.order_terms.bind(
            market_id=market_id, store_id=store_id, service_level=service_level, offer_type=offer_type
        )
    )


async def ordered_before(conn: Executor, market_id: str, merchant_id: UUID, external_delivery_id: str) -> Record | None:
    """What an earlier request with this number has made."""
    return await conn.fetchrow(
        *_sql.ordered_before.bind(
            market_id=market_id, merchant_id=merchant_id, external_delivery_id=external_delivery_id
        )
    )


async def insert(conn: Connection, market_id: str, delivery: NewDelivery) -> Record | None:
    """(delivery_id, status, readiness, version), its row locked; None when a twin of this order is there already."""
    return await conn.fetchrow(
        *_sql.insert_delivery.bind(
            market_id=market_id,
            delivery_id=delivery.delivery_id,
            merchant_id=delivery.merchant_id,
            store_id=delivery.store_id,
            site_id=delivery.site_id,
            offer_type=delivery.offer_type,
            service_level=delivery.service_level,
            external_delivery_id=delivery.external_delivery_id,
            request_sha256=delivery.request_sha256,
            pickup_ready_at=delivery.pickup_ready_at,
            pickup_deadline_at=delivery.pickup_deadline_at,
            dropoff_ready_at=delivery.dropoff_ready_at,
            dropoff_deadline_at=delivery.dropoff_deadline_at,
            pickup_instructions=delivery.pickup_instructions,
            dropoff_instructions=delivery.dropoff_instructions,
            dropoff_address=delivery.dropoff_address,
            dropoff_unit=delivery.dropoff_unit,
            dropoff_lat=delivery.dropoff_lat,
            dropoff_lon=delivery.dropoff_lon,
            dropoff_cell=delivery.dropoff_cell,
            contact_name=delivery.contact_name,
            contact_phone=delivery.contact_phone,
            order_value_cents=delivery.order_value_cents,
            tip_cents=delivery.tip_cents,
            currency=delivery.currency,
            undeliverable_action=delivery.undeliverable_action,
            dropoff_verification=delivery.dropoff_verification,
            pincode=delivery.pincode,
            fulfilled_by=delivery.fulfilled_by,
            created_at=delivery.created_at,
        )
    )


async def insert_packages(conn: Connection, market_id: str, delivery_id: UUID, packages: Sequence[NewPackage]) -> None:
    """Barcodes must differ within the delivery."""
    await conn.execute(
        *_sql.insert_packages.bind(
            market_id=market_id,
            delivery_id=delivery_id,
            package_ids=[package.package_id for package in packages],
            barcodes=[package.barcode for package in packages],
            sizes=[package.size for package in packages],
            weights_grams=[package.weight_grams for package in packages],
            must_be_uprights=[package.must_be_upright for package in packages],
        )
    )


async def packages(conn: Executor, market_id: str, delivery_id: UUID) -> list[Record]:
    """In the order the merchant sent them."""
    return await conn.fetch(*_sql.packages.bind(market_id=market_id, delivery_id=delivery_id))


async def get(conn: Executor, market_id: str, delivery_id: UUID) -> Record | None:
    """A delivery as it stands, with its store's number."""
    return await conn.fetchrow(*_sql.delivery.bind(market_id=market_id, delivery_id=delivery_id))


async def holders(conn: Connection, market_id: str, delivery_id: UUID) -> Record | None:
    """(driver_id, route_id, route_active, transfer_route_id, second_driver_id, offer_id), nulls for nobody."""
    return await conn.fetchrow(*_sql.delivery_holders.bind(market_id=market_id, delivery_id=delivery_id))


async def lock(conn: Connection, market_id: str, delivery_id: UUID) -> Record | None:
    """(delivery_id, merchant_id, status, readiness, version, driver_id), locked until the transaction ends."""
    return await conn.fetchrow(*_sql.lock_delivery.bind(market_id=market_id, delivery_id=delivery_id))


async def set_readiness(conn: Connection, market_id: str, delivery_id: UUID, readiness: str) -> Record | None:
    """(delivery_id, status, readiness, version) afterwards; the caller holds the lock and has asked the table."""
    return await conn.fetchrow(
        *_sql.set_readiness.bind(market_id=market_id, delivery_id=delivery_id, readiness=readiness)
    )


async def end_links(conn: Connection, market_id: str, delivery_id: UUID) -> None:
    """Tracking links derived from now on differ from those before."""
    await conn.execute(*_sql.end_links.bind(market_id=market_id, delivery_id=delivery_id))


async def link_terms(conn: Executor, market_id: str, delivery_id: UUID) -> Record | None:
    """(merchant_id, link_version, dropoff_deadline_at, status, status_at): what a tracking link is derived from."""
    return await conn.fetchrow(*_sql.link_terms.bind(market_id=market_id, delivery_id=delivery_id))
