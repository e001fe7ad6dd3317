"""What every entitled driver is shown of an offer: rows and a quote in, the wire body out. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from uuid import UUID

from flexlive.domain import cells
from flexlive.domain.allocation.types import Open
from flexlive.domain.door_order import order_doors, path_m
from flexlive.domain.geography import Point
from flexlive.domain.pay import Pay, PayRule, quote
from flexlive.protocol import views
from flexlive.storage.policies import MarketRules
from flexlive.storage.pool import Record

WALK_SECONDS_PER_STORE = 120


@dataclass(frozen=True, slots=True)
class Quoted:
    """An offer ready to be shown and stored."""

    view: views.OfferView
    pay: Pay


def quote_offer(
    offer_id: UUID, decision: Open, rows: Sequence[Record], rules: MarketRules, pay_rule: PayRule, opened_at: datetime
) -> Quoted:
    """rows: of storage.offers.lock_waiting, one site, in the decision's order."""
    site = rows[0]
    entrance = Point(site["entrance_lat"], site["entrance_lon"])
    doors = [Point(row["dropoff_lat"], row["dropoff_lon"]) for row in rows]
    path = path_m(entrance, [doors[i] for i in order_doors(entrance, doors)])
    distance_m = path * rules.policy.detour_factor
    packages = sum(row["package_count"] for row in rows)
    pay = quote(
        pay_rule,
        distance_m=distance_m,
        deliveries=len(rows),
        packages=packages,
        tip_cents=sum(row["tip_cents"] for row in rows),
    )
    stores = tuple(
        views.StoreView(
            store_id=row["store_id"], name=row["store_name"], unit=row["store_unit"], floor=row["store_floor"]
        )
        for row in {row["store_id"]: row for row in rows}.values()
    )
    wait = max((row["pickup_ready_at"] - opened_at).total_seconds() for row in rows)
    view = views.OfferView(
        offer_id=offer_id,
        offer_version=1,
        offer_type=decision.offer_type,
        shape=decision.shape.value,
        site=views.SiteView(
            id=site["site_id"],
            kind=site["site_kind"],
            name=site["site_name"],
            entrance=views.Entrance(name=site["entrance_name"], lat=entrance.lat, lon=entrance.lon),
        ),
        stores=stores,
        delivery_count=len(rows),
        package_count=packages,
        pay=views.PayView(
            base_cents=pay.base_cents,
            tip_cents=pay.tip_cents,
            wait_rate_cents_per_minute=pay.wait_rate_cents_per_minute,
            currency=rules.currency,
        ),
        estimate=views.EstimateView(
            drive_seconds=ceil(distance_m / rules.policy.travel_speed_mps),
            walk_seconds=WALK_SECONDS_PER_STORE * len(stores),
            wait_seconds=max(0, ceil(wait)),
            distance_m=round(distance_m),
        ),
        # The address is the winner's; others see the neighbourhood.
        dropoff_cells=tuple(
            sorted({cells.to_wire(cells.parent(row["dropoff_cell"], rules.offer_resolution)) for row in rows})
        ),
        requires=_requires(rows),
        rule=decision.rule.value,
        opened_at=opened_at,
        valid_until=decision.valid_until,
    )
    return Quoted(view, pay)


def _requires(rows: Sequence[Record]) -> tuple[str, ...]:
    asked: set[str] = set()
    for row in rows:
        asked.update(kind for kind in ("photo", "signature", "pincode") if row["dropoff_verification"].get(kind))
        if row["dropoff_verification"].get("min_age") is not None:
            asked.add("age")
        if row["must_be_upright"]:
            asked.add("upright")
    return tuple(sorted(asked))
