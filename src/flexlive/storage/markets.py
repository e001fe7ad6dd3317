"""Markets and what is set up in them: sites, offer types, service levels, participation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any
from uuid import UUID

from flexlive.storage.pool import Executor, Record
from flexlive.storage.queries import load

_sql = load("markets")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMarket:
    """policy: as stored in jsonb, see domain.markets.MarketPolicy."""

    market_id: str
    name: str
    time_zone: str
    currency: str
    offer_resolution: int
    presence_resolution: int
    policy: Any
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSite:
    """hours: as stored in jsonb, see domain.sites.Hours. The fence is around the entrance."""

    site_id: UUID
    parent_site_id: UUID | None
    kind: str
    name: str
    address: str
    lat: float
    lon: float
    entrance_name: str
    entrance_lat: float
    entrance_lon: float
    geofence_radius_m: int
    hours: Any
    parking_notes: str
    check_in_code: str
    created_at: datetime


async def insert(conn: Executor, market: NewMarket) -> bool:
    """False when the id is taken."""
    row = await conn.fetchrow(
        *_sql.insert_market.bind(
            market_id=market.market_id,
            name=market.name,
            time_zone=market.time_zone,
            currency=market.currency,
            offer_resolution=market.offer_resolution,
            presence_resolution=market.presence_resolution,
            policy=market.policy,
            created_at=market.created_at,
        )
    )
    return row is not None


async def get(conn: Executor, market_id: str) -> Record | None:
    """Every column of a market."""
    return await conn.fetchrow(*_sql.market.bind(market_id=market_id))


async def every(conn: Executor) -> list[Record]:
    """All markets with every column, by id."""
    return await conn.fetch(*_sql.markets.bind())


async def set_policy(conn: Executor, market_id: str, policy: Any) -> int | None:
    """The new policy_version; None when nothing changed."""
    row = await conn.fetchrow(*_sql.set_policy.bind(market_id=market_id, policy=policy))
    return None if row is None else row["policy_version"]


async def insert_site(conn: Executor, market_id: str, site: NewSite) -> bool:
    """False when the market has a site of that name."""
    row = await conn.fetchrow(
        *_sql.insert_site.bind(
            market_id=market_id,
            site_id=site.site_id,
            parent_site_id=site.parent_site_id,
            kind=site.kind,
            name=site.name,
            address=site.address,
            lat=site.lat,
            lon=site.lon,
            entrance_name=site.entrance_name,
            entrance_lat=site.entrance_lat,
            entrance_lon=site.entrance_lon,
            geofence_radius_m=site.geofence_radius_m,
            hours=site.hours,
            parking_notes=site.parking_notes,
            check_in_code=site.check_in_code,
            created_at=site.created_at,
        )
    )
    return row is not None


async def sites(conn: Executor, market_id: str) -> list[Record]:
    """All sites of a market with every column, by name."""
    return await conn.fetch(*_sql.sites.bind(market_id=market_id))


async def site_named(conn: Executor, market_id: str, name: str) -> UUID | None:
    row = await conn.fetchrow(*_sql.site_named.bind(market_id=market_id, name=name))
    return None if row is None else row["site_id"]


async def site_exists(conn: Executor, market_id: str, site_id: UUID) -> bool:
    return bool(await conn.fetchval(*_sql.site_exists.bind(market_id=market_id, site_id=site_id)))


async def put_offer_type(
    conn: Executor,
    market_id: str,
    offer_type: str,
    *,
    name: str,
    terms_version: int,
    documents_required: Sequence[str],
    pay_rule: Any,
    active: bool,
    created_at: datetime,
) -> None:
    """Create or replace; the market must exist."""
    await conn.execute(
        *_sql.put_offer_type.bind(
            market_id=market_id,
            offer_type=offer_type,
            name=name,
            terms_version=terms_version,
            documents_required=documents_required,
            pay_rule=pay_rule,
            active=active,
            created_at=created_at,
        )
    )


async def offer_types(conn: Executor, market_id: str) -> list[Record]:
    return await conn.fetch(*_sql.offer_types.bind(market_id=market_id))


async def put_service_level(
    conn: Executor,
    market_id: str,
    service_level: str,
    *,
    shape: str,
    promise_seconds: int,
    cutoff_local: time | None,
    window_end_local: time | None,
    days_of_week: Sequence[int],
) -> None:
    """Create or replace; the market must exist."""
    await conn.execute(
        *_sql.put_service_level.bind(
            market_id=market_id,
            service_level=service_level,
            shape=shape,
            promise_seconds=promise_seconds,
            cutoff_local=cutoff_local,
            window_end_local=window_end_local,
            days_of_week=days_of_week,
        )
    )


async def service_levels(conn: Executor, market_id: str) -> list[Record]:
    return await conn.fetch(*_sql.service_levels.bind(market_id=market_id))


async def put_participation(
    conn: Executor,
    market_id: str,
    merchant_id: UUID,
    site_id: UUID,
    offer_type: str,
    *,
    active: bool,
    valid_from: datetime,
    valid_until: datetime | None,
) -> None:
    """Create or replace; merchant, site and offer type must exist."""
    await conn.execute(
        *_sql.put_participation.bind(
            market_id=market_id,
            merchant_id=merchant_id,
            site_id=site_id,
            offer_type=offer_type,
            active=active,
            valid_from=valid_from,
            valid_until=valid_until,
        )
    )


async def participations(conn: Executor, market_id: str) -> list[Record]:
    return await conn.fetch(*_sql.participations.bind(market_id=market_id))


async def analyze(conn: Executor) -> None:
    """Give the planner its figures after much has been set up at once."""
    await conn.execute(*_sql.analyze_directory.bind())
