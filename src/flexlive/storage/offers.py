"""Offers as rows: the accept race, opening, widening, closing, declines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from flexlive.storage.pool import Connection, Executor, Record
from flexlive.storage.queries import load

_sql = load("offers")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOffer:
    """An offer as it is opened. Money in integer cents, base_cents with the distance. Cells as H3 integers;
    payload: the wire body."""

    offer_id: UUID
    offer_type: str
    site_id: UUID
    shape: str
    rule: str
    cells: Sequence[int]
    ring: int
    base_cents: int
    distance_cents: int
    tip_cents: int
    wait_rate_cents_per_minute: int
    currency: str
    payload: Any
    policy: str
    policy_version: int
    opened_at: datetime
    widen_at: datetime | None
    valid_until: datetime
    pilot_ids: Sequence[UUID] = ()
    refused_by: Sequence[UUID] = ()


@dataclass(frozen=True, slots=True)
class Acceptance:
    """One decided winner."""

    offer_id: UUID
    driver_id: UUID
    route_id: UUID
    slot: int
    accepted_at: datetime


@dataclass(frozen=True, slots=True)
class NewStop:
    """One planned stop of a new route."""

    stop_id: UUID
    route_id: UUID
    sequence: int
    kind: str
    site_id: UUID | None
    store_id: UUID | None
    delivery_ids: tuple[UUID, ...]
    lat: float
    lon: float
    geofence_radius_m: int


@dataclass(frozen=True, slots=True)
class NewPay:
    """What a delivery earns its winner, in cents; base without the distance."""

    delivery_id: UUID
    base_cents: int
    distance_cents: int


async def lock_many(conn: Connection, market_id: str, offer_ids: Sequence[UUID]) -> list[Record]:
    """Offers locked in id order, each with db_now read after its lock; open ones with their load."""
    return await conn.fetch(*_sql.lock_offers.bind(market_id=market_id, offer_ids=offer_ids))


async def lock(conn: Connection, market_id: str, offer_id: UUID) -> Record | None:
    return await conn.fetchrow(*_sql.lock_offer.bind(market_id=market_id, offer_id=offer_id))


async def lock_deliveries(conn: Connection, market_id: str, offer_ids: Sequence[UUID]) -> list[Record]:
    """The deliveries of these offers, locked in delivery order, with everything a route shows of them."""
    return await conn.fetch(*_sql.lock_offer_deliveries.bind(market_id=market_id, offer_ids=offer_ids))


async def loads(conn: Executor, market_id: str, offer_ids: Sequence[UUID]) -> list[Record]:
    """Package count, weight and uprightness of each offer."""
    return await conn.fetch(*_sql.offer_loads.bind(market_id=market_id, offer_ids=offer_ids))


async def accept(
    conn: Connection, market_id: str, won: Sequence[Acceptance], stops: Sequence[NewStop], pay: Sequence[NewPay]
) -> tuple[int, int]:
    """Write the winners' offers, routes, stops, slots and deliveries; how many offers and deliveries moved.

    pay: of every delivery of these offers; one without would not move."""
    row = await conn.fetchrow(
        *_sql.accept_offers.bind(
            market_id=market_id,
            offer_ids=[w.offer_id for w in won],
            driver_ids=[w.driver_id for w in won],
            route_ids=[w.route_id for w in won],
            slots=[w.slot for w in won],
            accepted_at=[w.accepted_at for w in won],
            stop_ids=[stop.stop_id for stop in stops],
            stop_route_ids=[stop.route_id for stop in stops],
            sequences=[stop.sequence for stop in stops],
            kinds=[stop.kind for stop in stops],
            site_ids=[stop.site_id for stop in stops],
            store_ids=[stop.store_id for stop in stops],
            delivery_ids=["{" + ",".join(str(each) for each in stop.delivery_ids) + "}" for stop in stops],
            lats=[stop.lat for stop in stops],
            lons=[stop.lon for stop in stops],
            radii_m=[stop.geofence_radius_m for stop in stops],
            paid_ids=[each.delivery_id for each in pay],
            bases_cents=[each.base_cents for each in pay],
            distances_cents=[each.distance_cents for each in pay],
        )
    )
    assert row is not None
    return row["offers"], row["deliveries"]


async def insert(conn: Connection, market_id: str, opened: Sequence[tuple[NewOffer, Sequence[UUID]]]) -> None:
    """Open offers, each of its deliveries in order, in two round trips. The caller holds the deliveries' locks."""
    rows = [
        _sql.insert_offer.bind(
            market_id=market_id,
            offer_id=offer.offer_id,
            offer_type=offer.offer_type,
            site_id=offer.site_id,
            shape=offer.shape,
            rule=offer.rule,
            cells=offer.cells,
            ring=offer.ring,
            base_cents=offer.base_cents,
            distance_cents=offer.distance_cents,
            tip_cents=offer.tip_cents,
            wait_rate_cents_per_minute=offer.wait_rate_cents_per_minute,
            currency=offer.currency,
            payload=offer.payload,
            policy=offer.policy,
            policy_version=offer.policy_version,
            opened_at=offer.opened_at,
            widen_at=offer.widen_at,
            valid_until=offer.valid_until,
            pilot_ids=offer.pilot_ids,
            refused_by=offer.refused_by,
        )[1:]
        for offer, _ in opened
    ]
    await conn.executemany(_sql.insert_offer.sql, rows)
    work = [
        _sql.insert_offer_deliveries.bind(market_id=market_id, offer_id=offer.offer_id, delivery_ids=delivery_ids)[1:]
        for offer, delivery_ids in opened
    ]
    await conn.executemany(_sql.insert_offer_deliveries.sql, work)


async def lock_waiting(conn: Connection, market_id: str, delivery_ids: Sequence[UUID]) -> list[Record]:
    """Those of these deliveries that still wait and are in no live offer, locked, with what an offer shows of them."""
    return await conn.fetch(*_sql.lock_waiting_deliveries.bind(market_id=market_id, delivery_ids=delivery_ids))


async def widen(
    conn: Connection,
    market_id: str,
    offer_id: UUID,
    *,
    cells: Sequence[int],
    ring: int,
    widen_at: datetime | None,
    payload: Any,
) -> int | None:
    """The new version, or None when the offer is no longer open."""
    row = await conn.fetchrow(
        *_sql.widen_offer.bind(
            market_id=market_id, offer_id=offer_id, cells=cells, ring=ring, widen_at=widen_at, payload=payload
        )
    )
    return None if row is None else row["version"]


async def close(conn: Connection, market_id: str, offer_id: UUID, status: str, at: datetime) -> list[UUID]:
    """End an open offer (`expired` or `withdrawn`); returns the deliveries that are free again."""
    rows = await conn.fetch(*_sql.close_offer.bind(market_id=market_id, offer_id=offer_id, status=status, ended_at=at))
    return [row["delivery_id"] for row in rows]


async def end(conn: Connection, market_id: str, offer_id: UUID, status: str, at: datetime) -> bool:
    """End an accepted offer (`completed` or `forfeited`); False when it was none."""
    rows = await conn.fetch(*_sql.end_offer.bind(market_id=market_id, offer_id=offer_id, status=status, ended_at=at))
    return bool(rows)


async def release(conn: Connection, market_id: str, offer_id: UUID, delivery_ids: Sequence[UUID]) -> None:
    """These of an accepted offer's deliveries may be offered again."""
    await conn.execute(*_sql.release_deliveries.bind(market_id=market_id, offer_id=offer_id, delivery_ids=delivery_ids))


async def exists(conn: Connection, market_id: str, offer_id: UUID) -> bool:
    return await conn.fetchval(*_sql.offer_exists.bind(market_id=market_id, offer_id=offer_id))


async def decline(
    conn: Connection, market_id: str, offer_id: UUID, driver_id: UUID, reason: str | None, at: datetime
) -> bool:
    """True the first time."""
    row = await conn.fetchrow(
        *_sql.insert_decline.bind(
            market_id=market_id, offer_id=offer_id, driver_id=driver_id, reason=reason, declined_at=at
        )
    )
    return row is not None


async def history(conn: Executor, market_id: str, delivery_ids: Sequence[UUID]) -> list[Record]:
    """Earlier offers of these deliveries, by delivery, newest last."""
    return await conn.fetch(*_sql.history.bind(market_id=market_id, delivery_ids=delivery_ids))


async def open_now(conn: Executor, market_id: str) -> list[Record]:
    return await conn.fetch(*_sql.open_offers.bind(market_id=market_id))


async def open_deliveries(conn: Executor, market_id: str) -> list[Record]:
    """(offer_id, delivery_id) of the open offers."""
    return await conn.fetch(*_sql.open_offer_deliveries.bind(market_id=market_id))


async def waiting(conn: Executor, market_id: str, deliveries_max: int) -> list[Record]:
    """Deliveries to place, oldest first."""
    return await conn.fetch(*_sql.waiting_deliveries.bind(market_id=market_id, deliveries_max=deliveries_max))


async def insert_decision(
    conn: Connection,
    market_id: str,
    *,
    decision_id: UUID,
    decided_at: datetime,
    policy: str,
    policy_version: int,
    action: str,
    offer_id: UUID | None,
    inputs: Any,
) -> None:
    """Keep why: the answer to "why this driver, why not me"."""
    await conn.execute(
        *_sql.insert_decision.bind(
            market_id=market_id,
            decision_id=decision_id,
            decided_at=decided_at,
            policy=policy,
            policy_version=policy_version,
            action=action,
            offer_id=offer_id,
            inputs=inputs,
        )
    )


async def declined_by(conn: Executor, market_id: str, offer_ids: Sequence[UUID]) -> list[tuple[UUID, UUID]]:
    """(offer_id, driver_id) of everyone who declined one of these."""
    rows = await conn.fetch(*_sql.declined_by.bind(market_id=market_id, offer_ids=offer_ids))
    return [(row["offer_id"], row["driver_id"]) for row in rows]
