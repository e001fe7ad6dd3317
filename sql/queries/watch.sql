-- name: quiet_routes
-- Active routes whose drivers gave no stored sign of life since then: position, command, or the route itself being new.
-- Commands are looked at only where the position is old.
with suspect as materialized (
  select r.route_id, r.driver_id, r.silent_at, greatest(r.created_at, p.received_at) as heard_at
  from route r
  left join lateral (
    select q.received_at from driver_position q
    where q.market_id = r.market_id and q.driver_id = r.driver_id
    offset 0
  ) p on true
  where r.market_id = :market_id and r.status = 'active' and r.created_at <= :heard_before
    and (p.received_at is null or p.received_at <= :heard_before)
)
select s.route_id, s.driver_id, s.silent_at, greatest(s.heard_at, c.created_at) as heard_at
from suspect s
left join lateral (
  select max(c.created_at) as created_at from command_result c
  where c.market_id = :market_id and c.driver_id = s.driver_id
) c on true
where c.created_at is null or c.created_at <= :heard_before
order by s.route_id;

-- name: silent_routes
select route_id, driver_id, silent_at
from route
where market_id = :market_id and status = 'active' and silent_at is not null
order by route_id;

-- name: mark_silent
-- The caller holds the driver's row.
update route set silent_at = :silent_at
where market_id = :market_id and route_id = :route_id and status = 'active' and silent_at is null
returning route_id;

-- name: mark_heard
update route set silent_at = null
where market_id = :market_id and route_id = :route_id and silent_at is not null
returning route_id;

-- name: overdue
-- Orders that nobody has taken by their deadline.
select delivery_id
from delivery
where market_id = :market_id and status = 'created'
  and coalesce(pickup_deadline_at, dropoff_deadline_at) <= :deadline_before
order by delivery_id
limit :rows_max;

-- name: undecided
-- Incidents that wait for an operator and have waited long enough; one whose retry is agreed has no open alert, and
-- one whose packages wait for a second driver is decided.
select d.delivery_id
from alert a
join delivery d on d.market_id = a.market_id and d.delivery_id = a.subject_id
where a.market_id = :market_id and a.kind = 'incident' and a.resolved_at is null and a.opened_at <= :opened_before
  and d.status = 'undeliverable' and d.transfer_route_id is null
order by d.delivery_id
limit :rows_max;

-- name: is_undecided
select exists (
  select from alert a
  join delivery d on d.market_id = a.market_id and d.delivery_id = a.subject_id
  where a.market_id = :market_id and a.kind = 'incident' and a.subject_id = :delivery_id and a.resolved_at is null
    and a.opened_at <= :opened_before and d.transfer_route_id is null) as found;

-- name: unplaced
-- Ready at the counter, offered for a while, still nobody's, and not yet said.
select d.delivery_id, d.pickup_ready_at, d.pickup_deadline_at, d.dropoff_deadline_at
from delivery d
where d.market_id = :market_id and d.status = 'created' and d.readiness <> 'unavailable'
  and d.pickup_ready_at <= :now and d.status_at <= :status_before
  and not exists (
    select from alert a
    where a.market_id = d.market_id and a.subject_id = d.delivery_id and a.kind = 'no_driver'
      and a.opened_at >= d.status_at)
order by d.delivery_id
limit :rows_max;
