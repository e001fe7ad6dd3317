"""Everything about one delivery, read as of one moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from flexlive.storage import ops_actions
from flexlive.storage.pool import Connection, Record
from flexlive.storage.queries import Query, load

_sql = load("stories")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryRows:
    """Rows by table, each list in the order it happened."""

    delivery: Record
    packages: list[Record]
    offers: list[Record]
    decisions: list[Record]
    routes: list[Record]
    stops: list[Record]
    check_ins: list[Record]
    proofs: list[Record]
    ledger: list[Record]
    alerts: list[Record]
    actions: list[Record]
    events: list[Record]


async def read(conn: Connection, market_id: str, delivery_id: UUID, rows_max: int) -> StoryRows | None:
    """None when there is no such delivery. rows_max: of events, and of actions. In a repeatable-read transaction."""

    async def fetch(query: Query, **values: Any) -> list[Record]:
        return await conn.fetch(*query.bind(market_id=market_id, **values))

    delivery = await conn.fetchrow(*_sql.delivery.bind(market_id=market_id, delivery_id=delivery_id))
    if delivery is None:
        return None
    offers = await fetch(_sql.offers, delivery_id=delivery_id)
    offer_ids = [row["offer_id"] for row in offers]
    drivers = [row["driver_id"] for row in await fetch(_sql.drivers, delivery_id=delivery_id)]
    ledger = await fetch(_sql.ledger, delivery_id=delivery_id, driver_ids=drivers)
    of_delivery = await ops_actions.about(conn, market_id, [str(delivery_id)], rows_max)
    routes = await fetch(_sql.routes, route_ids=_route_ids(delivery, ledger, of_delivery), offer_ids=offer_ids)
    route_ids = [row["route_id"] for row in routes]
    stops = await fetch(_sql.stops, route_ids=route_ids)
    stop_ids = [row["stop_id"] for row in stops]
    alerts = await fetch(_sql.alerts, subject_ids=[delivery_id, *route_ids, *stop_ids])
    subjects = [*stop_ids, *(row["alert_id"] for row in alerts)]
    streams = [f"delivery:{delivery_id}", f"track:{delivery_id}"]
    streams += [f"offer:{each}" for each in offer_ids] + [f"route:{each}" for each in route_ids]
    others = await ops_actions.about(conn, market_id, [str(each) for each in subjects], rows_max) if subjects else []
    return StoryRows(
        delivery=delivery,
        packages=await fetch(_sql.packages, delivery_id=delivery_id),
        offers=offers,
        decisions=await fetch(_sql.decisions, offer_ids=offer_ids),
        routes=routes,
        stops=stops,
        check_ins=await fetch(_sql.check_ins, stop_ids=stop_ids),
        proofs=await fetch(_sql.proofs, delivery_id=delivery_id),
        ledger=ledger,
        alerts=alerts,
        actions=sorted([*of_delivery, *others], key=lambda row: (row["created_at"], row["action_id"])),
        events=await fetch(_sql.events, streams=streams, rows_max=rows_max),
    )


def _route_ids(delivery: Record, ledger: Sequence[Record], actions: Sequence[Record]) -> list[UUID]:
    """Routes of no offer are named by the row, by the money they earned or by the action that made them."""
    found = {delivery["route_id"], delivery["transfer_route_id"], *(row["route_id"] for row in ledger)}
    for row in actions:
        named = row["detail"].get("result", {}).get("route_id")
        if isinstance(named, str):
            found.add(UUID(named))
    return sorted(each for each in found if each is not None)
