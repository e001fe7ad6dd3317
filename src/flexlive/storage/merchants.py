"""Merchants, their keys and their stores. Merchants span markets; a store belongs to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from flexlive.storage.pool import Executor, Record
from flexlive.storage.queries import load

_sql = load("merchants")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewStore:
    """hours and holidays as stored in jsonb: see domain.opening_hours."""

    store_id: UUID
    merchant_id: UUID
    external_store_id: str
    site_id: UUID
    name: str
    unit: str
    floor: str
    phone: str
    pickup_instructions: str
    hours: Any
    holidays: Any
    prep_seconds_default: int
    carry_weight_grams_max: int
    handoff_code: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class KeyRow:
    merchant_id: UUID
    scopes: frozenset[str]


async def insert(conn: Executor, merchant_id: UUID, name: str, brand: str, created_at: datetime) -> bool:
    """False when the name is taken."""
    row = await conn.fetchrow(
        *_sql.insert_merchant.bind(merchant_id=merchant_id, name=name, brand=brand, created_at=created_at)
    )
    return row is not None


async def named(conn: Executor, name: str) -> UUID | None:
    row = await conn.fetchrow(*_sql.merchant_named.bind(name=name))
    return None if row is None else row["merchant_id"]


async def exists(conn: Executor, merchant_id: UUID) -> bool:
    return bool(await conn.fetchval(*_sql.merchant_exists.bind(merchant_id=merchant_id)))


async def every(conn: Executor) -> list[Record]:
    """merchant_id, name, brand, created_at, by name."""
    return await conn.fetch(*_sql.merchants.bind())


async def of_market(conn: Executor, market_id: str) -> list[Record]:
    """As every(), of those with a store in this market."""
    return await conn.fetch(*_sql.merchants_of_market.bind(market_id=market_id))


async def insert_key(
    conn: Executor, merchant_id: UUID, key_sha256: bytes, scopes: Sequence[str], created_at: datetime
) -> None:
    await conn.execute(
        *_sql.insert_key.bind(key_sha256=key_sha256, merchant_id=merchant_id, scopes=scopes, created_at=created_at)
    )


async def live_key(conn: Executor, key_sha256: bytes) -> KeyRow | None:
    """Whose key it is; None alike for unknown and revoked ones."""
    row = await conn.fetchrow(*_sql.live_key.bind(key_sha256=key_sha256))
    return None if row is None else KeyRow(row["merchant_id"], frozenset(row["scopes"]))


async def revoke_key(conn: Executor, key_sha256: bytes, revoked_at: datetime) -> bool:
    """True when this call ended it."""
    row = await conn.fetchrow(*_sql.revoke_key.bind(key_sha256=key_sha256, revoked_at=revoked_at))
    return row is not None


async def insert_store(conn: Executor, market_id: str, store: NewStore) -> bool:
    """False when the merchant already uses that store number, in whatever market."""
    row = await conn.fetchrow(
        *_sql.insert_store.bind(
            market_id=market_id,
            store_id=store.store_id,
            merchant_id=store.merchant_id,
            external_store_id=store.external_store_id,
            site_id=store.site_id,
            name=store.name,
            unit=store.unit,
            floor=store.floor,
            phone=store.phone,
            pickup_instructions=store.pickup_instructions,
            hours=store.hours,
            holidays=store.holidays,
            prep_seconds_default=store.prep_seconds_default,
            carry_weight_grams_max=store.carry_weight_grams_max,
            handoff_code=store.handoff_code,
            created_at=store.created_at,
        )
    )
    return row is not None


async def store_numbered(conn: Executor, merchant_id: UUID, external_store_id: str) -> tuple[str, UUID] | None:
    """(market_id, store_id) behind a merchant's own store number."""
    row = await conn.fetchrow(*_sql.store_numbered.bind(merchant_id=merchant_id, external_store_id=external_store_id))
    return None if row is None else (row["market_id"], row["store_id"])


async def stores(conn: Executor, market_id: str) -> list[Record]:
    """All stores of a market with every column, by name."""
    return await conn.fetch(*_sql.stores.bind(market_id=market_id))
