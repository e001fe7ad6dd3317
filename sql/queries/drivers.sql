-- name: lock_drivers
-- First lock of every driver command, in id order: one driver's commands happen one after another.
select driver_id
from driver
where market_id = :market_id and driver_id = any(:driver_ids::uuid[])
order by driver_id
for no key update;

-- name: drivers_standing
-- Everything eligibility asks of the drivers who ask, and the answer each may have had already; read after the lock.
select d.driver_id, d.status, d.presence, d.routes_active_max,
       v.packages_max, v.weight_grams_max, v.carries_upright,
       array(select e.offer_type from eligible_enrolment e
             where e.market_id = d.market_id and e.driver_id = d.driver_id) as offer_types,
       array(select m.pilot_id from pilot_member m
             where m.market_id = d.market_id and m.driver_id = d.driver_id and m.arm = 'cohort') as pilot_ids,
       array(select s.slot from slot s
             where s.market_id = d.market_id and s.driver_id = d.driver_id and s.active) as slots_used,
       exists (select from offer_decline x
               where x.market_id = d.market_id and x.offer_id = ask.offer_id and x.driver_id = d.driver_id)
         or exists (select from offer o
                    where o.market_id = d.market_id and o.offer_id = ask.offer_id and d.driver_id = any(o.refused_by))
         as declined,
       r.request_sha256, r.body
from unnest(:driver_ids::uuid[], :device_ids::text[], :cmds::text[], :offer_ids::uuid[])
  as ask(driver_id, device_id, cmd, offer_id)
join driver d on d.market_id = :market_id and d.driver_id = ask.driver_id
left join vehicle v on v.market_id = d.market_id and v.driver_id = d.driver_id and v.active
left join command_result r on r.market_id = d.market_id and r.driver_id = d.driver_id
  and r.device_id = ask.device_id and r.cmd = ask.cmd;

-- name: first_name
select first_name from driver where market_id = :market_id and driver_id = :driver_id;

-- name: set_presence
-- Returns a row only when the mode really changed.
update driver
set presence = :presence, presence_at = :presence_at
where market_id = :market_id and driver_id = :driver_id and presence <> :presence
returning driver_id;

-- name: drivers_online
-- The dispatcher's view of the fleet: who is online, where, and what eligibility asks. Positions are looked up by key,
-- driver by driver: on tables without statistics the planner would rather join every position with every driver.
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
order by d.driver_id;

-- name: authenticate
-- One read per connect: the token, whether it still holds, and who the driver is.
select t.token_sha256, t.kind, t.subject_id, t.family_id, t.expires_at, t.used_at, t.revoked_at, d.status,
       array(select e.offer_type from eligible_enrolment e
             where e.market_id = d.market_id and e.driver_id = d.driver_id) as offer_types,
       array(select m.pilot_id from pilot_member m
             where m.market_id = d.market_id and m.driver_id = d.driver_id and m.arm = 'cohort') as pilot_ids
from token t
join driver d on d.market_id = t.market_id and d.driver_id = t.subject_id
where t.market_id = :market_id and t.token_sha256 = :token_sha256 and t.kind in ('driver', 'ticket');

-- name: snapshots
-- One query per batch of connecting phones: standing, last position, and what the driver may be shown. read_at orders
-- the connections of one driver across processes.
select d.driver_id, d.status, d.presence, d.inbox_seq, p.lat, p.lon, p.positioned_at,
       extract(epoch from clock_timestamp())::float8 as read_at,
       array(select e.offer_type from eligible_enrolment e
             where e.market_id = d.market_id and e.driver_id = d.driver_id) as offer_types,
       array(select m.pilot_id from pilot_member m
             where m.market_id = d.market_id and m.driver_id = d.driver_id and m.arm = 'cohort') as pilot_ids
from driver d
left join driver_position p on p.market_id = d.market_id and p.driver_id = d.driver_id
where d.market_id = :market_id and d.driver_id = any(:driver_ids::uuid[]);

-- name: inbox
-- What no snapshot can rebuild, after the phone's own position.
select i.driver_id, i.inbox_seq, i.kind, i.body, i.created_at
from driver_inbox i
join unnest(:driver_ids::uuid[], :inbox_seqs::bigint[]) as ask(driver_id, inbox_seq)
  on ask.driver_id = i.driver_id and i.inbox_seq > ask.inbox_seq
where i.market_id = :market_id and i.expires_at > :now
order by i.driver_id, i.inbox_seq
limit :rows_max;

-- name: write_positions!
-- Newest wins; asynchronous by the caller's transaction setting, no index on what moves.
insert into driver_position (market_id, driver_id, lat, lon, accuracy_m, positioned_at, received_at)
select :market_id, x.driver_id, x.lat, x.lon, x.accuracy_m, x.positioned_at, x.received_at
from unnest(:driver_ids::uuid[], :lats::float8[], :lons::float8[], :accuracies_m::real[],
            :positioned_at::timestamptz[], :received_at::timestamptz[])
  as x(driver_id, lat, lon, accuracy_m, positioned_at, received_at)
order by x.driver_id
on conflict (market_id, driver_id) do update
set lat = excluded.lat, lon = excluded.lon, accuracy_m = excluded.accuracy_m,
    positioned_at = excluded.positioned_at, received_at = excluded.received_at
where driver_position.positioned_at <= excluded.positioned_at;

-- name: logins_ended
-- Of these logins, those that hold no longer: no token of the family is unrevoked, or the driver may not work. Expired
-- tokens count as unrevoked: a socket outlives its access token.
select ask.driver_id, ask.family_id, coalesce(d.status, 'deactivated') = 'active' as active
from unnest(:driver_ids::uuid[], :family_ids::uuid[]) as ask(driver_id, family_id)
left join driver d on d.market_id = :market_id and d.driver_id = ask.driver_id
where d.status is distinct from 'active'
   or not exists (select from token t
                  where t.market_id = :market_id and t.family_id = ask.family_id and t.revoked_at is null);
