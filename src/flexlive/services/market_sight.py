"""What the dispatcher sees of a market: rows in, the values a policy is given out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from flexlive.domain import cells
from flexlive.domain.allocation.types import DeliveryHistory, DriverView, History, OpenOfferView, PendingDelivery
from flexlive.domain.geography import Point
from flexlive.domain.offers import OfferStatus
from flexlive.services.offers import driver_state
from flexlive.storage import drivers, offers
from flexlive.storage.policies import MarketRules
from flexlive.storage.pool import Executor, Record

WAITING_DELIVERIES_MAX: Final = 2_000


@dataclass(frozen=True, slots=True)
class MarketSight:
    """One look at a market. next_due_at: when an open offer asks for attention by itself."""

    pending: list[PendingDelivery]
    open_offers: list[OpenOfferView]
    drivers: list[DriverView]
    history: History
    next_due_at: datetime | None


async def look(
    conn: Executor, rules: MarketRules, now: datetime, unreachable: frozenset[UUID] = frozenset()
) -> MarketSight:
    """Everything a policy is given. Drivers are read only when there is something to decide.

    unreachable: connected drivers whose phones take nothing in just now. They are shown what is open where they are,
    but nobody counts on their answer.
    """
    market_id = rules.market_id
    waiting = await offers.waiting(conn, market_id, WAITING_DELIVERIES_MAX)
    opened = await offers.open_now(conn, market_id)
    due = [at for row in opened for at in (row["valid_until"], row["widen_at"]) if at is not None]
    # A widening that was due and not needed is looked at again with every regular tick, not in a hurry.
    next_due_at = min((at for at in due if at > now), default=None)
    if not waiting and all(at > now for at in due):
        return MarketSight([], [], [], {}, next_due_at)
    stale = timedelta(seconds=rules.policy.position_stale_seconds)
    fleet = await drivers.online(conn, market_id, now - stale)
    views_open = await open_views(conn, rules, opened) if opened else []
    concerned = [row["delivery_id"] for row in waiting] + [d for offer in views_open for d in offer.delivery_ids]
    past = await offers.history(conn, market_id, concerned) if concerned else []
    return MarketSight(
        pending=[_pending(row, rules) for row in waiting],
        open_offers=views_open,
        drivers=[driver_view(row, rules) for row in fleet if row["driver_id"] not in unreachable],
        history=_history(past),
        next_due_at=next_due_at,
    )


def _pending(row: Record, rules: MarketRules) -> PendingDelivery:
    site = Point(row["site_lat"], row["site_lon"])
    return PendingDelivery(
        delivery_id=row["delivery_id"],
        site_id=row["site_id"],
        site=site,
        site_cell=cells.cell_of(site.lat, site.lon, rules.offer_resolution),
        offer_type=row["offer_type"],
        created_at=row["created_at"],
        pickup_ready_at=row["pickup_ready_at"],
        pickup_deadline_at=row["pickup_deadline_at"] or row["dropoff_deadline_at"],
        package_count=row["package_count"],
        weight_grams=row["weight_grams"],
        must_be_upright=row["must_be_upright"],
        door=Point(row["dropoff_lat"], row["dropoff_lon"]),
        dropoff_deadline_at=row["dropoff_deadline_at"],
        pilots=frozenset(row["pilot_ids"]),
    )


def driver_view(row: Record, rules: MarketRules) -> DriverView:
    """A row of storage.drivers.online."""
    return DriverView(
        state=driver_state(row, frozenset()),
        point=Point(row["lat"], row["lon"]),
        cell=cells.cell_of(row["lat"], row["lon"], rules.offer_resolution),
        positioned_at=row["received_at"],
    )


async def open_views(conn: Executor, rules: MarketRules, opened: Sequence[Record]) -> list[OpenOfferView]:
    """Rows of storage.offers.open_now, with their loads and who is not to be shown them."""
    market_id, offer_ids = rules.market_id, [row["offer_id"] for row in opened]
    deliveries: defaultdict[UUID, list[UUID]] = defaultdict(list)
    for row in await offers.open_deliveries(conn, market_id):
        deliveries[row["offer_id"]].append(row["delivery_id"])
    declined: defaultdict[UUID, set[UUID]] = defaultdict(set)
    for offer_id, driver_id in await offers.declined_by(conn, market_id, offer_ids):
        declined[offer_id].add(driver_id)
    loads = {row["offer_id"]: row for row in await offers.loads(conn, market_id, offer_ids)}
    return [
        OpenOfferView(
            offer_id=row["offer_id"],
            delivery_ids=tuple(deliveries[row["offer_id"]]),
            site=Point(row["site_lat"], row["site_lon"]),
            site_cell=cells.cell_of(row["site_lat"], row["site_lon"], rules.offer_resolution),
            ring=row["ring"],
            cells=tuple(row["cells"]),
            opened_at=row["opened_at"],
            widen_at=row["widen_at"],
            valid_until=row["valid_until"],
            offer_type=row["offer_type"],
            package_count=loads[row["offer_id"]]["package_count"] if row["offer_id"] in loads else 0,
            weight_grams=loads[row["offer_id"]]["weight_grams"] if row["offer_id"] in loads else 0,
            must_be_upright=loads[row["offer_id"]]["must_be_upright"] if row["offer_id"] in loads else False,
            declined_by=frozenset(declined[row["offer_id"]]),
            pilots=frozenset(row["pilot_ids"]),
        )
        for row in opened
    ]


def _history(rows: Sequence[Record]) -> History:
    found: dict[UUID, DeliveryHistory] = {}
    for row in rows:
        before = found.get(row["delivery_id"])
        refused: set[UUID] = {*row["declined_by"], *([row["forfeited_by"]] if row["forfeited_by"] else [])}
        found[row["delivery_id"]] = DeliveryHistory(
            offers=1 + (before.offers if before is not None else 0),
            last_ring=row["ring"],
            last_ended_at=row["ended_at"],
            last_status=OfferStatus(row["status"]),
            refused_by=frozenset(refused.union(before.refused_by if before is not None else ())),
            last_deliveries=row["deliveries"],
        )
    return found
