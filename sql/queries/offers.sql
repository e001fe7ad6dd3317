-- name: lock_offers
-- The expiry guard: the clock is read after each row's lock, so an expired offer is never accepted. The load is what
-- must fit in the car.
with locked as materialized (
  select offer_id, offer_type, status, version, valid_until, driver_id, site_id, cells, pilot_ids
  from offer
  where market_id = :market_id and offer_id = any(:offer_ids::uuid[])
  order by offer_id
  for no key update
)
select locked.*, clock_timestamp() as db_now, k.package_count, k.weight_grams, k.must_be_upright
from locked
left join lateral (
  select count(*)::int as package_count, coalesce(sum(p.weight_grams), 0)::int as weight_grams,
         coalesce(bool_or(p.must_be_upright), false) as must_be_upright
  from offer_delivery od
  join package p on p.market_id = od.market_id and p.delivery_id = od.delivery_id
  where locked.status = 'open' and od.market_id = :market_id and od.offer_id = locked.offer_id and od.active
) k on true;

-- name: lock_offer_deliveries
-- The work of these offers, locked in delivery order after the offers themselves, with everything the winner's route
-- will show: one read instead of a second look after the write.
select od.offer_id, od.sequence, d.delivery_id, d.store_id, d.site_id, d.external_delivery_id, d.status, d.readiness,
       d.version, d.pickup_ready_at, d.pickup_deadline_at, d.dropoff_ready_at, d.dropoff_deadline_at,
       d.pickup_instructions, d.dropoff_instructions, d.dropoff_address, d.dropoff_unit, d.dropoff_lat, d.dropoff_lon,
       d.contact_name, d.contact_phone, d.dropoff_verification, d.tip_cents, d.currency,
       o.base_cents as offer_base_cents, o.distance_cents as offer_distance_cents, s.name as store_name, s.unit as store_unit, s.floor as store_floor, s.phone as store_phone,
       s.pickup_instructions as store_instructions, p.name as site_name, p.address as site_address, p.entrance_name,
       p.entrance_lat, p.entrance_lon, p.parking_notes, p.geofence_radius_m,
       (select jsonb_agg(jsonb_build_object(
                 'package_id', k.package_id, 'barcode', k.barcode, 'size', k.size, 'weight_grams', k.weight_grams,
                 'must_be_upright', k.must_be_upright, 'custody', k.custody) order by k.barcode)
        from package k where k.market_id = d.market_id and k.delivery_id = d.delivery_id) as packages
from offer_delivery od
join offer o on o.market_id = od.market_id and o.offer_id = od.offer_id
join delivery d on d.market_id = od.market_id and d.delivery_id = od.delivery_id
join store s on s.market_id = d.market_id and s.store_id = d.store_id
join pickup_site p on p.market_id = d.market_id and p.site_id = d.site_id
where od.market_id = :market_id and od.offer_id = any(:offer_ids::uuid[]) and od.active
order by d.delivery_id
for no key update of d;

-- name: offer_loads
-- What must fit in the car, for the dispatcher's look at open offers.
select od.offer_id, count(*)::int as package_count, sum(p.weight_grams)::int as weight_grams,
       bool_or(p.must_be_upright) as must_be_upright
from offer_delivery od
join package p on p.market_id = od.market_id and p.delivery_id = od.delivery_id
where od.market_id = :market_id and od.offer_id = any(:offer_ids::uuid[]) and od.active
group by od.offer_id;

-- name: accept_offers
-- Winners only; the caller holds the locks and has decided. The status guard makes a double accept impossible
-- even if it had decided wrongly, and route_one_per_offer_key makes it impossible for good.
with won as (
  select * from unnest(:offer_ids::uuid[], :driver_ids::uuid[], :route_ids::uuid[], :slots::smallint[],
                       :accepted_at::timestamptz[])
    as w(offer_id, driver_id, route_id, slot, accepted_at)
), accepted as (
  update offer o
  set status = 'accepted', driver_id = won.driver_id, accepted_at = won.accepted_at
  from won
  where o.market_id = :market_id and o.offer_id = won.offer_id and o.status = 'open'
  returning won.*, o.wait_rate_cents_per_minute
), routed as (
  insert into route (market_id, route_id, driver_id, offer_id, status, created_at, wait_rate_cents_per_minute)
  select :market_id, route_id, driver_id, offer_id, 'active', accepted_at, wait_rate_cents_per_minute from accepted
), slotted as (
  insert into slot (market_id, route_id, driver_id, slot)
  select :market_id, route_id, driver_id, slot from accepted
), stopped as (
  insert into stop (market_id, stop_id, route_id, sequence, kind, site_id, store_id, delivery_ids, lat, lon,
                    geofence_radius_m)
  select :market_id, x.stop_id, x.route_id, x.sequence, x.kind, x.site_id, x.store_id,
         -- arrays of arrays do not unnest by row, so each stop carries its deliveries as one array literal
         x.delivery_ids::uuid[], x.lat, x.lon, x.geofence_radius_m
  from unnest(:stop_ids::uuid[], :stop_route_ids::uuid[], :sequences::smallint[], :kinds::text[], :site_ids::uuid[],
              :store_ids::uuid[], :delivery_ids::text[], :lats::float8[], :lons::float8[], :radii_m::int[])
    as x(stop_id, route_id, sequence, kind, site_id, store_id, delivery_ids, lat, lon, geofence_radius_m)
), confirmed as (
  update delivery d
  set status = 'confirmed', status_at = a.accepted_at, version = d.version + 1,
      driver_id = a.driver_id, route_id = a.route_id,
      pay_base_cents = y.base_cents, pay_distance_cents = y.distance_cents
  from accepted a
  join offer_delivery od on od.market_id = :market_id and od.offer_id = a.offer_id and od.active
  join unnest(:paid_ids::uuid[], :bases_cents::bigint[], :distances_cents::bigint[])
    as y(delivery_id, base_cents, distance_cents) on y.delivery_id = od.delivery_id
  where d.market_id = :market_id and d.delivery_id = od.delivery_id and d.status = 'created'
  returning d.delivery_id
)
select (select count(*) from accepted)::int as offers, (select count(*) from confirmed)::int as deliveries;

-- name: insert_offer!
-- The dispatcher's decision made durable; guarded by offer_delivery_one_live_key.
insert into offer (market_id, offer_id, offer_type, site_id, shape, rule, status, cells, ring, base_cents,
                   distance_cents, tip_cents, wait_rate_cents_per_minute, currency, payload, policy, policy_version, opened_at, widen_at,
                   valid_until, pilot_ids, refused_by)
values (:market_id, :offer_id, :offer_type, :site_id, :shape, :rule, 'open', :cells, :ring, :base_cents, :distance_cents,
        :tip_cents, :wait_rate_cents_per_minute, :currency, :payload, :policy, :policy_version, :opened_at, :widen_at,
        :valid_until, :pilot_ids, :refused_by);

-- name: insert_offer_deliveries!
insert into offer_delivery (market_id, offer_id, delivery_id, sequence)
select :market_id, :offer_id, delivery_id, ordinality
from unnest(:delivery_ids::uuid[]) with ordinality as x(delivery_id, ordinality);

-- name: lock_waiting_deliveries
-- Deliveries that still wait for a driver and are in no live offer; everything an offer shows of them.
select d.delivery_id, d.store_id, d.site_id, d.offer_type, d.service_level, d.dropoff_lat, d.dropoff_lon,
       d.dropoff_cell, d.order_value_cents, d.tip_cents, d.currency, d.pickup_ready_at, d.pickup_deadline_at,
       d.dropoff_deadline_at, d.dropoff_verification, p.kind as site_kind, p.name as site_name, p.entrance_name,
       p.entrance_lat, p.entrance_lon, s.name as store_name, s.unit as store_unit, s.floor as store_floor,
       (select count(*)::int from package p where p.market_id = d.market_id and p.delivery_id = d.delivery_id)
         as package_count,
       (select coalesce(bool_or(p.must_be_upright), false) from package p
        where p.market_id = d.market_id and p.delivery_id = d.delivery_id) as must_be_upright,
       array(select w.pilot_id from pilot_work w
             where w.market_id = d.market_id and w.delivery_id = d.delivery_id and w.running) as pilot_ids
from delivery d
join store s on s.market_id = d.market_id and s.store_id = d.store_id
join pickup_site p on p.market_id = d.market_id and p.site_id = d.site_id
where d.market_id = :market_id and d.delivery_id = any(:delivery_ids::uuid[]) and d.status = 'created'
  and d.readiness <> 'unavailable'
  and not exists (select 1 from offer_delivery od
                  where od.market_id = d.market_id and od.delivery_id = d.delivery_id and od.active)
  and not exists (select from pilot_work w
                  where w.market_id = d.market_id and w.delivery_id = d.delivery_id and w.killed)
order by d.delivery_id
for no key update of d;

-- name: widen_offer
-- A new version with more cells; nothing happens when the offer is no longer open.
update offer
set cells = :cells, ring = :ring, version = version + 1, widen_at = :widen_at, payload = :payload
where market_id = :market_id and offer_id = :offer_id and status = 'open'
returning version;

-- name: lock_offer
select offer_id, offer_type, site_id, status, version, ring, cells, payload, valid_until, pilot_ids,
       clock_timestamp() as db_now
from offer
where market_id = :market_id and offer_id = :offer_id
for no key update;

-- name: close_offer
-- Ends an open offer (expired or withdrawn) and frees its deliveries for the next one.
with closed as (
  update offer set status = :status, ended_at = :ended_at
  where market_id = :market_id and offer_id = :offer_id and status in ('scheduled', 'open')
  returning offer_id
)
update offer_delivery od set active = false
from closed
where od.market_id = :market_id and od.offer_id = closed.offer_id
returning od.delivery_id;

-- name: end_offer
-- The route of an accepted offer is over: completed, or forfeited when all of it was given back.
with done as (
  update offer set status = :status, ended_at = :ended_at
  where market_id = :market_id and offer_id = :offer_id and status = 'accepted'
  returning offer_id
)
update offer_delivery od set active = false
from done
where od.market_id = :market_id and od.offer_id = done.offer_id
returning od.offer_id;

-- name: release_deliveries!
-- Given back, while the offer goes on with the rest: they may be offered again.
update offer_delivery set active = false
where market_id = :market_id and offer_id = :offer_id and delivery_id = any(:delivery_ids::uuid[]);

-- name: offer_exists
select exists (select from offer where market_id = :market_id and offer_id = :offer_id) as found;

-- name: insert_decline
insert into offer_decline (market_id, offer_id, driver_id, reason, declined_at)
values (:market_id, :offer_id, :driver_id, :reason, :declined_at)
on conflict do nothing
returning offer_id;

-- name: history
-- What became of the earlier offers of these deliveries, newest last: a policy starts where the last one ended, and
-- who declined or gave the work back is not asked again. An offer may go on without what was given back of it, and
-- work that an operator assigned never had one.
select od.delivery_id, o.offer_id, case when o.ended_at is null then 'forfeited' else o.status end as status, o.ring,
       coalesce(o.ended_at, d.status_at) as ended_at,
       array(select x.driver_id from offer_decline x
             where x.market_id = o.market_id and x.offer_id = o.offer_id) as declined_by,
       (select count(*)::int from offer_delivery x
        where x.market_id = o.market_id and x.offer_id = o.offer_id) as deliveries,
       o.driver_id as forfeited_by
from offer_delivery od
join offer o on o.market_id = od.market_id and o.offer_id = od.offer_id
join delivery d on d.market_id = od.market_id and d.delivery_id = od.delivery_id
where od.market_id = :market_id and od.delivery_id = any(:delivery_ids::uuid[]) and not od.active
union all
select d.delivery_id, null, 'forfeited', 0, e.received_at, '{}', 1, (e.data ->> 'given_back_by')::uuid
from delivery d
join event e on e.market_id = d.market_id and e.stream = 'delivery:' || d.delivery_id and e.kind = 'delivery.created'
  and e.data ? 'given_back_by'
where d.market_id = :market_id and d.delivery_id = any(:delivery_ids::uuid[]) and d.version > 2
  and not exists (select from offer_delivery od
                  join offer o on o.market_id = od.market_id and o.offer_id = od.offer_id
                  where od.market_id = d.market_id and od.delivery_id = d.delivery_id
                    and o.driver_id = (e.data ->> 'given_back_by')::uuid)
order by delivery_id, ended_at;

-- name: open_offers
-- The board at start: what every entitled driver may see now.
select o.offer_id, o.offer_type, o.site_id, o.status, o.version, o.ring, o.cells, o.payload, o.opened_at, o.widen_at,
       o.valid_until, o.pilot_ids, p.entrance_lat as site_lat, p.entrance_lon as site_lon
from offer o
join pickup_site p on p.market_id = o.market_id and p.site_id = o.site_id
where o.market_id = :market_id and o.status in ('scheduled', 'open')
order by o.offer_id;

-- name: open_offer_deliveries
select od.offer_id, od.delivery_id
from offer_delivery od
join offer o on o.market_id = od.market_id and o.offer_id = od.offer_id and o.status in ('scheduled', 'open')
where od.market_id = :market_id and od.active
order by od.offer_id, od.sequence;

-- name: waiting_deliveries
-- What the dispatcher has to place, oldest first. What the store cannot supply is nobody's work.
select d.delivery_id, d.site_id, d.store_id, d.merchant_id, d.offer_type, d.service_level, d.created_at,
       d.pickup_ready_at, d.pickup_deadline_at, d.dropoff_deadline_at, d.dropoff_lat, d.dropoff_lon,
       p.entrance_lat as site_lat, p.entrance_lon as site_lon,
       k.package_count, k.weight_grams, k.must_be_upright,
       array(select w.pilot_id from pilot_work w
             where w.market_id = d.market_id and w.delivery_id = d.delivery_id and w.running) as pilot_ids
from delivery d
join pickup_site p on p.market_id = d.market_id and p.site_id = d.site_id
join lateral (
  select count(*)::int as package_count, coalesce(sum(k.weight_grams), 0)::int as weight_grams,
         coalesce(bool_or(k.must_be_upright), false) as must_be_upright
  from package k where k.market_id = d.market_id and k.delivery_id = d.delivery_id
) k on true
where d.market_id = :market_id and d.status = 'created' and d.readiness <> 'unavailable'
  and not exists (select 1 from offer_delivery od
                  where od.market_id = d.market_id and od.delivery_id = d.delivery_id and od.active)
  and not exists (select from pilot_work w
                  where w.market_id = d.market_id and w.delivery_id = d.delivery_id and w.killed)
order by d.created_at
limit :deliveries_max;

-- name: insert_decision!
insert into dispatch_decision (market_id, decision_id, decided_at, policy, policy_version, action, offer_id, inputs)
values (:market_id, :decision_id, :decided_at, :policy, :policy_version, :action, :offer_id, :inputs);

-- name: declined_by
-- Who is not shown these offers: they declined this one, or refused the same work before.
select offer_id, driver_id
from offer_decline
where market_id = :market_id and offer_id = any(:offer_ids::uuid[])
union
select o.offer_id, x.driver_id
from offer o
cross join unnest(o.refused_by) as x(driver_id)
where o.market_id = :market_id and o.offer_id = any(:offer_ids::uuid[]);
