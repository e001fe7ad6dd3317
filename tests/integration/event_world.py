"""The least a market needs before events can be appended, and what the tests of events and relay share."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from flexlive.storage import events
from flexlive.storage.events import NewEvent, StreamKind
from flexlive.storage.pool import Connection, Executor

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


async def add_market(executor: Executor, market_id: str = "chandler") -> str:
    await executor.execute(
        "insert into market (market_id, name, time_zone, currency, policy, created_at) "
        "values ($1, $1, 'America/Phoenix', 'USD', '{}', now())",
        market_id,
    )
    return market_id


async def add_drivers(executor: Executor, market_id: str, count: int) -> list[uuid.UUID]:
    """Ids in lock order."""
    driver_ids = sorted(uuid.uuid4() for _ in range(count))
    await executor.execute(
        "insert into driver (market_id, driver_id, first_name, presence_at, created_at) "
        "select $1, unnest($2::uuid[]), 'Ada', now(), now()",
        market_id,
        driver_ids,
    )
    return driver_ids


async def add_delivery(executor: Executor, market_id: str) -> tuple[uuid.UUID, uuid.UUID, uuid.UUID]:
    """One delivery with an offer and a route; returns their ids in that order."""
    site, merchant, store, delivery, offer, route, driver = (uuid.uuid4() for _ in range(7))
    for statement, values in (
        (
            "insert into pickup_site (market_id, site_id, kind, name, address, lat, lon, entrance_name, entrance_lat, "
            "entrance_lon, geofence_radius_m, hours, check_in_code, created_at) "
            "values ($1, $2, 'mall', 'Mall', 'Street 1', 33.3, -111.9, 'North', 33.3, -111.9, 150, '{}', 'x', now())",
            (site,),
        ),
        (
            "insert into merchant (merchant_id, name, brand, created_at) values ($2, $1, 'b', now())",
            (merchant,),
        ),
        (
            "insert into store (market_id, store_id, merchant_id, external_store_id, site_id, name, hours, "
            "handoff_code, created_at) values ($1, $2, $3, 's', $4, 'Store', '{}', '1', now())",
            (store, merchant, site),
        ),
        (
            "insert into offer_type (market_id, offer_type, name, pay_rule, created_at) "
            "values ($1, 'retail_delivery', 'Retail', '{}', now())",
            (),
        ),
        (
            "insert into service_level (market_id, service_level, shape, promise_seconds) "
            "values ($1, 'express', 'on_demand', 3600)",
            (),
        ),
        (
            "insert into delivery (market_id, delivery_id, merchant_id, store_id, site_id, offer_type, service_level, "
            "external_delivery_id, request_sha256, status, status_at, pickup_ready_at, dropoff_deadline_at, "
            "dropoff_address, dropoff_lat, dropoff_lon, dropoff_cell, contact_name, currency, undeliverable_action, "
            "fulfilled_by, created_at) values ($1, $2, $3, $4, $5, 'retail_delivery', 'express', 'd', "
            "decode(repeat('00', 32), 'hex'), 'created', now(), now(), now(), 'Street 2', 33.3, -111.9, 1, 'Bo', "
            "'USD', 'return_to_pickup', 'x', now())",
            (delivery, merchant, store, site),
        ),
        (
            "insert into offer (market_id, offer_id, offer_type, site_id, shape, rule, status, cells, base_cents, "
            "tip_cents, wait_rate_cents_per_minute, currency, payload, policy, policy_version, opened_at, valid_until) "
            "values ($1, $2, 'retail_delivery', $3, 'on_demand', 'first', 'open', '{}', 1, 0, 0, 'USD', '{}', 'p', 1, "
            "now(), now() + interval '1 hour')",
            (offer, site),
        ),
        (
            "insert into driver (market_id, driver_id, first_name, presence_at, created_at) "
            "values ($1, $2, 'Ada', now(), now())",
            (driver,),
        ),
        (
            "insert into route (market_id, route_id, driver_id, status, created_at) "
            "values ($1, $2, $3, 'active', now())",
            (route, driver),
        ),
    ):
        await executor.execute(statement, market_id, *values)
    return delivery, offer, route


def new_event(entity_id: uuid.UUID, stream_kind: StreamKind = "driver", **data: object) -> NewEvent:
    return NewEvent(
        stream_kind=stream_kind,
        entity_id=entity_id,
        kind=f"{stream_kind}.tested",
        actor_type="system",
        occurred_at=NOW,
        received_at=NOW,
        data=data,
    )


async def lock_drivers(connection: Connection, market_id: str, driver_ids: list[uuid.UUID]) -> None:
    await connection.fetch(
        "select from driver where market_id = $1 and driver_id = any($2::uuid[]) order by driver_id for no key update",
        market_id,
        driver_ids,
    )


async def append_one(executor_connection: Connection, market_id: str, driver_id: uuid.UUID) -> events.Appended:
    """A transaction of one event, as a command does it: lock, then append."""
    async with executor_connection.transaction():
        await lock_drivers(executor_connection, market_id, [driver_id])
        return (await events.append(executor_connection, market_id, [new_event(driver_id)]))[0]
