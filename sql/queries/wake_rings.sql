-- name: drivers_to_wake
-- Online drivers with a phone to ring, who have neither seen nor been rung for every one of these offers; columns as in
-- drivers_online, and looked up by key for the same reason.
select d.driver_id, d.status, d.presence, d.routes_active_max, p.lat, p.lon, p.received_at,
       v.packages_max, v.weight_grams_max, v.carries_upright,
       array(select e.offer_type from eligible_enrolment e
             where e.market_id = d.market_id and e.driver_id = d.driver_id) as offer_types,
       array(select m.pilot_id from pilot_member m
             where m.market_id = d.market_id and m.driver_id = d.driver_id and m.arm = 'cohort') as pilot_ids,
       array(select s.slot from slot s
             where s.market_id = d.market_id and s.driver_id = d.driver_id and s.active) as slots_used
from driver d
join lateral (
  select q.lat, q.lon, q.received_at from driver_position q
  where q.market_id = d.market_id and q.driver_id = d.driver_id
  offset 0
) p on p.received_at > :received_after
left join lateral (
  select w.packages_max, w.weight_grams_max, w.carries_upright from vehicle w
  where w.market_id = d.market_id and w.driver_id = d.driver_id and w.active
  offset 0
) v on true
where d.market_id = :market_id and d.presence = 'online' and d.status = 'active'
  and exists (select from push_target t
              where t.market_id = d.market_id and t.driver_id = d.driver_id and t.dead_at is null)
  and exists (
    select from unnest(:offer_ids::uuid[]) as o(offer_id)
    where not exists (select from offer_seen s
                      where s.market_id = d.market_id and s.offer_id = o.offer_id and s.driver_id = d.driver_id)
      and not exists (select from wake_ring r
                      where r.market_id = d.market_id and r.offer_id = o.offer_id and r.driver_id = d.driver_id))
order by d.driver_id;

-- name: seen_or_rung
select offer_id, driver_id from offer_seen where market_id = :market_id and offer_id = any(:offer_ids::uuid[])
union
select offer_id, driver_id from wake_ring where market_id = :market_id and offer_id = any(:offer_ids::uuid[]);

-- name: claim_rings
-- Asked and written in one statement, right before the pushes leave. An accept that is under way holds the offer's row:
-- skipped then, for the offer may be gone in a moment. While this one holds it, no accept can begin.
with wanted as materialized (
  select o.offer_id, o.valid_until, o.refused_by
  from offer o
  where o.market_id = :market_id and o.offer_id = :offer_id and o.status = 'open'
    and o.valid_until > clock_timestamp() + make_interval(secs => :seconds_left_min)
  for share skip locked
), claimed as (
  insert into wake_ring (market_id, offer_id, driver_id, reason, rung_at)
  select :market_id, w.offer_id, d.driver_id, a.reason, clock_timestamp()
  from wanted w
  cross join unnest(:driver_ids::uuid[], :reasons::text[]) as a(driver_id, reason)
  join driver d on d.market_id = :market_id and d.driver_id = a.driver_id
    and d.presence = 'online' and d.status = 'active'
  where not d.driver_id = any(w.refused_by)
    and not exists (select from offer_decline x
                    where x.market_id = :market_id and x.offer_id = w.offer_id and x.driver_id = d.driver_id)
    and not exists (select from offer_seen s
                    where s.market_id = :market_id and s.offer_id = w.offer_id and s.driver_id = d.driver_id)
  order by d.driver_id
  on conflict do nothing
  returning driver_id
)
select c.driver_id, w.valid_until, extract(epoch from w.valid_until - clock_timestamp())::float8 as seconds_left
from claimed c
cross join wanted w;

-- name: seconds_left
-- Before another attempt: how long the offer still stands for a driver who has not answered it; no row when it does not.
select extract(epoch from o.valid_until - clock_timestamp())::float8 as seconds_left
from offer o
join driver d on d.market_id = o.market_id and d.driver_id = :driver_id
  and d.presence = 'online' and d.status = 'active'
where o.market_id = :market_id and o.offer_id = :offer_id and o.status = 'open'
  and o.valid_until > clock_timestamp() + make_interval(secs => :seconds_left_min)
  and not exists (select from offer_decline x
                  where x.market_id = o.market_id and x.offer_id = o.offer_id and x.driver_id = d.driver_id)
  and not exists (select from offer_seen s
                  where s.market_id = o.market_id and s.offer_id = o.offer_id and s.driver_id = d.driver_id);

-- name: settle_ring!
update wake_ring
set outcome = :outcome, kind = :kind, device_id = :device_id, attempts = :attempts, settled_at = clock_timestamp()
where market_id = :market_id and offer_id = :offer_id and driver_id = :driver_id and outcome is null;

-- name: forget_rings!
-- Bounded clean-up by the sweeper.
delete from wake_ring r
using (select offer_id, driver_id from wake_ring
       where market_id = :market_id and rung_at < :rung_before limit :rows_max) old
where r.market_id = :market_id and r.offer_id = old.offer_id and r.driver_id = old.driver_id;
