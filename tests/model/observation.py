"""What the database says of one run's deliveries, in one statement: for comparing before and after a command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from flexlive.storage.pool import Pool

# `state` is what a refused command must leave alone: counters of attempts, answers and late commands are not in it.
_SQL = """
with d as materialized (
  select * from delivery where market_id = $1 and delivery_id = any($2::uuid[])
), r as materialized (
  select * from route
  where market_id = $1 and route_id = any($6::uuid[] || array(
    select x from d, unnest(array[d.route_id, d.transfer_route_id]) x where x is not null))
), l as materialized (
  select offer_id, delivery_id, sequence from offer_delivery
  where market_id = $1 and delivery_id = any($2::uuid[]) and active
  union all
  select offer_id, delivery_id, sequence from offer_delivery
  where market_id = $1 and delivery_id = any($2::uuid[]) and not active
)
select
  coalesce((select jsonb_agg(jsonb_build_object(
      'delivery_id', d.delivery_id, 'status', d.status, 'readiness', d.readiness, 'version', d.version,
      'driver_id', d.driver_id, 'route_id', d.route_id, 'transfer_route_id', d.transfer_route_id,
      'reason_code', d.reason_code, 'attempts', d.attempts, 'undeliverable_action', d.undeliverable_action,
      'pay_base_cents', d.pay_base_cents, 'pay_distance_cents', d.pay_distance_cents,
      'pay_return_cents', d.pay_return_cents, 'tip_cents', d.tip_cents,
      'packages', (select jsonb_agg(jsonb_build_array(k.barcode, k.custody, k.scanned_at is not null,
                                                    k.rescanned_at is not null) order by k.barcode)
                   from package k where k.market_id = $1 and k.delivery_id = d.delivery_id)
    ) order by d.delivery_id) from d), '[]') as deliveries,
  coalesce((select jsonb_agg(jsonb_build_object(
      'route_id', r.route_id, 'driver_id', r.driver_id, 'offer_id', r.offer_id, 'status', r.status,
      'version', r.version,
      'stops', (select jsonb_agg(jsonb_build_object(
                  'stop_id', s.stop_id, 'sequence', s.sequence, 'kind', s.kind, 'status', s.status,
                  'store_id', s.store_id, 'lat', s.lat, 'lon', s.lon, 'delivery_ids', s.delivery_ids)
                  order by s.sequence)
                from stop s where s.market_id = $1 and s.route_id = r.route_id)
    ) order by r.route_id) from r), '[]') as routes,
  coalesce((select jsonb_agg(jsonb_build_object('offer_id', o.offer_id, 'status', o.status, 'driver_id', o.driver_id,
      'version', o.version, 'base_cents', o.base_cents, 'delivery_ids', l.delivery_ids) order by o.offer_id)
    from (select offer_id, array_agg(delivery_id order by sequence) as delivery_ids from l group by offer_id) l
    join offer o on o.market_id = $1 and o.offer_id = l.offer_id), '[]') as offers,
  coalesce((select jsonb_agg(jsonb_build_object('driver_id', l.driver_id, 'delivery_id', l.delivery_id, 'kind', l.kind,
      'amount_cents', l.amount_cents, 'event_id', l.event_id) order by l.entry_id)
    from ledger_entry l
    where l.market_id = $1 and l.driver_id = any($3::uuid[]) and l.created_at >= $5
      and l.delivery_id = any($2::uuid[])), '[]') as ledger,
  coalesce((select jsonb_agg(jsonb_build_object('event_id', e.event_id, 'stream', e.stream, 'seq', e.seq,
      'kind', e.kind, 'actor_type', e.actor_type, 'actor_id', e.actor_id, 'driver_id', e.data -> 'driver_id',
      'status', e.data -> 'update' -> 'status') order by e.event_id)
    from event e where e.market_id = $1 and e.event_id > $4
      and e.stream = any(array(select 'delivery:' || x from unnest($2::uuid[]) x))), '[]') as events
"""
_state = ("deliveries", "routes", "offers", "ledger")


@dataclass(frozen=True)
class Observation:
    """deliveries, routes: by id as text; a route has its stops in order. events: of the deliveries' streams since the
    last look, oldest first."""

    deliveries: Mapping[str, Any]
    routes: Mapping[str, Any]
    offers: Mapping[str, Any]
    ledger: Sequence[Mapping[str, Any]]
    events: Sequence[Mapping[str, Any]]
    state: tuple[Any, ...]
    last_event_id: int

    def active_route(self, driver_id: str) -> Mapping[str, Any] | None:
        return next(
            (r for r in self.routes.values() if r["driver_id"] == driver_id and r["status"] == "active"),
            None,
        )

    def stops(self) -> list[Mapping[str, Any]]:
        return [stop for route in self.routes.values() for stop in route["stops"] or ()]


async def observe(
    pool: Pool,
    market_id: str,
    delivery_ids: Sequence[UUID],
    driver_ids: Sequence[UUID],
    since: datetime,
    last: Observation | None = None,
) -> Observation:
    """since: when the run began. last: what was seen before; routes that have been left are looked at still."""
    last_event_id, known = (0, []) if last is None else (last.last_event_id, [UUID(each) for each in last.routes])
    row = await pool.fetchrow(_SQL, market_id, delivery_ids, driver_ids, last_event_id, since, known)
    assert row is not None
    events = row["events"]
    return Observation(
        deliveries={each["delivery_id"]: each for each in row["deliveries"]},
        routes={each["route_id"]: each for each in row["routes"]},
        offers={each["offer_id"]: each for each in row["offers"]},
        ledger=row["ledger"],
        events=events,
        state=tuple(row[name] for name in _state),
        last_event_id=max((each["event_id"] for each in events), default=last_event_id),
    )
