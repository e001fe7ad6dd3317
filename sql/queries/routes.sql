-- name: routes
-- Routes by id.
select route_id, driver_id, offer_id, status, version, wait_rate_cents_per_minute
from route
where market_id = :market_id and route_id = any(:route_ids::uuid[]);

-- name: active_routes
-- The routes these drivers have now.
select route_id, driver_id, offer_id, status, version, wait_rate_cents_per_minute
from route
where market_id = :market_id and driver_id = any(:driver_ids::uuid[]) and status = 'active'
order by route_id;

-- name: all_active_routes
-- Every leg under way in the market, for a process that starts.
select route_id, driver_id, offer_id, status, version, wait_rate_cents_per_minute
from route
where market_id = :market_id and status = 'active'
order by route_id;

-- name: stops
-- Everything a driver is shown of a stop.
select t.route_id, t.stop_id, t.sequence, t.kind, t.status, t.site_id, t.store_id, t.delivery_ids, t.lat, t.lon,
       t.geofence_radius_m, t.arrived_at, t.done_at, t.code_attempts, p.name as site_name, p.address as site_address, p.entrance_name, p.parking_notes,
       s.name as store_name, s.unit as store_unit, s.floor as store_floor, s.phone as store_phone,
       s.pickup_instructions as store_instructions
from stop t
left join pickup_site p on p.market_id = t.market_id and p.site_id = t.site_id
left join store s on s.market_id = t.market_id and s.store_id = t.store_id
where t.market_id = :market_id and t.route_id = any(:route_ids::uuid[])
order by t.route_id, t.sequence;

-- name: route_deliveries
-- What is on these routes, and what waits at a hand-over to come onto them.
select d.route_id, d.transfer_route_id, d.delivery_id, d.store_id, d.site_id, d.offer_type, d.external_delivery_id,
       d.status, d.readiness, d.version, d.pickup_ready_at, d.pickup_deadline_at, d.dropoff_ready_at,
       d.dropoff_deadline_at, d.pickup_instructions, d.dropoff_instructions, d.dropoff_address, d.dropoff_unit,
       d.dropoff_lat, d.dropoff_lon, d.contact_name, d.contact_phone, d.dropoff_verification, d.undeliverable_action,
       d.reason_code, d.attempts, d.tip_cents, d.currency, d.pay_base_cents, d.pay_distance_cents, d.pay_return_cents
from delivery d
where d.market_id = :market_id
  and (d.route_id = any(:route_ids::uuid[]) or d.transfer_route_id = any(:route_ids::uuid[]))
order by d.delivery_id;

-- name: route_packages
select p.delivery_id, p.package_id, p.barcode, p.size, p.weight_grams, p.must_be_upright, p.custody, p.missing_reason,
       p.scanned_at, p.rescanned_by
from package p
where p.market_id = :market_id and p.delivery_id = any(:delivery_ids::uuid[])
order by p.delivery_id, p.barcode;

-- name: route_of_stop
select route_id, driver_id
from stop join route using (market_id, route_id)
where market_id = :market_id and stop_id = :stop_id;

-- name: route_of_delivery
select route_id, driver_id
from delivery
where market_id = :market_id and delivery_id = :delivery_id and route_id is not null;

-- name: route_of_route
select route_id, driver_id
from route
where market_id = :market_id and route_id = :route_id;

-- name: lock_route_deliveries
-- Lock order: driver, offer, delivery, route, stop. With what comes over from another route, all of that route: its
-- next stop is decided too.
select delivery_id, route_id, transfer_route_id
from delivery
where market_id = :market_id
  and (transfer_route_id = :route_id
       or route_id = any(array_append(array(select o.route_id from delivery o
                                            where o.market_id = :market_id and o.transfer_route_id = :route_id),
                                      :route_id)))
order by delivery_id
for no key update;

-- name: lock_routes
select route_id, driver_id, offer_id, status, version, clock_timestamp() as db_now
from route
where market_id = :market_id and route_id = any(:route_ids::uuid[])
order by route_id
for no key update;

-- name: move_deliveries
-- A step's moves in one statement, each only from where the step saw it; steps counts the table's rows walked at once.
-- A delivery that waits again has no driver and no pay; one that came from another route has this one's driver.
update delivery d
set status = m.status, status_at = :status_at, version = d.version + m.steps,
    driver_id = case when m.status <> 'created' then :driver_id::uuid end,
    route_id = case when m.status <> 'created' then :route_id::uuid end,
    pay_base_cents = case when m.status <> 'created' then d.pay_base_cents end,
    pay_distance_cents = case when m.status <> 'created' then d.pay_distance_cents end,
    pay_return_cents = case when m.status in ('enroute_to_return', 'arrived_at_return', 'returned')
                            then d.pay_return_cents end,
    transfer_route_id = case when m.status not in ('delivered', 'returned', 'disposed', 'lost')
                               and d.route_id = :route_id::uuid then d.transfer_route_id end,
    attempts = d.attempts + m.attempts,
    proof_attempts = case when m.from_status = 'undeliverable' and m.status = 'enroute_to_dropoff' then 0
                          else d.proof_attempts end,
    courier_imminent = d.courier_imminent and m.status = 'arrived_at_dropoff',
    reason_code = case when m.has_reason then :reason_code::text
                       when m.status in ('undeliverable', 'enroute_to_return', 'arrived_at_return', 'returned',
                                         'disposed') then d.reason_code end
from unnest(:delivery_ids::uuid[], :from_statuses::text[], :statuses::text[], :steps::int[], :attempts::int[],
            :has_reasons::bool[])
  as m(delivery_id, from_status, status, steps, attempts, has_reason)
where d.market_id = :market_id and d.delivery_id = m.delivery_id and d.status = m.from_status
returning d.delivery_id, d.status, d.readiness, d.version;

-- name: quote_returns!
-- What bringing it back pays, known before the way back begins.
update delivery d
set pay_return_cents = x.cents
from unnest(:delivery_ids::uuid[], :amounts_cents::bigint[]) as x(delivery_id, cents)
where d.market_id = :market_id and d.delivery_id = x.delivery_id;

-- name: set_pay!
update delivery d
set pay_base_cents = x.base_cents, pay_distance_cents = x.distance_cents
from unnest(:delivery_ids::uuid[], :bases_cents::bigint[], :distances_cents::bigint[])
  as x(delivery_id, base_cents, distance_cents)
where d.market_id = :market_id and d.delivery_id = x.delivery_id;

-- name: call_off_transfer
-- The second driver is not to come for these any more; what was scanned for it counts for nothing.
with freed as (
  update delivery set transfer_route_id = null
  where market_id = :market_id and delivery_id = any(:delivery_ids::uuid[]) and transfer_route_id is not null
  returning delivery_id
)
update package p set rescanned_at = null, rescanned_by = null
from freed
where p.market_id = :market_id and p.delivery_id = freed.delivery_id
returning p.package_id;

-- name: allow_leaving
-- An operator's word replaces the merchant's wish.
update delivery set undeliverable_action = 'leave_at_door'
where market_id = :market_id and delivery_id = :delivery_id and status = 'undeliverable'
returning delivery_id, status, readiness, version;

-- name: set_readiness
-- The store's side: what was scanned and confirmed has been handed over.
update delivery
set readiness = :readiness, version = version + 1
where market_id = :market_id and delivery_id = any(:delivery_ids::uuid[]) and readiness = any(:sources::text[])
returning delivery_id, status, readiness, version;

-- name: mark_stops
update stop t
set status = x.status,
    departed_at = coalesce(t.departed_at, x.departed_at),
    arrived_at = coalesce(t.arrived_at, x.arrived_at),
    done_at = coalesce(t.done_at, x.done_at)
from unnest(:stop_ids::uuid[], :statuses::text[], :departed_ats::timestamptz[], :arrived_ats::timestamptz[],
            :done_ats::timestamptz[]) as x(stop_id, status, departed_at, arrived_at, done_at)
where t.market_id = :market_id and t.stop_id = x.stop_id
returning t.stop_id;

-- name: append_stops!
insert into stop (market_id, stop_id, route_id, sequence, kind, site_id, store_id, delivery_ids, lat, lon,
                  geofence_radius_m)
select :market_id, x.stop_id, :route_id, x.sequence, x.kind, x.site_id, x.store_id, x.delivery_ids::uuid[], x.lat,
       x.lon, x.geofence_radius_m
from unnest(:stop_ids::uuid[], :sequences::smallint[], :kinds::text[], :site_ids::uuid[], :store_ids::uuid[],
            :delivery_ids::text[], :lats::float8[], :lons::float8[], :radii_m::int[])
  as x(stop_id, sequence, kind, site_id, store_id, delivery_ids, lat, lon, geofence_radius_m);

-- name: site_entrances
-- Where something is brought back to.
select site_id, entrance_lat, entrance_lon, geofence_radius_m
from pickup_site
where market_id = :market_id and site_id = any(:site_ids::uuid[]);

-- name: advance_route
-- A new version; with a status the route is over and its slot free in the same moment.
with advanced as (
  update route
  set version = version + 1, status = coalesce(:status::text, status), ended_at = coalesce(:ended_at, ended_at)
  where market_id = :market_id and route_id = :route_id and status = 'active'
  returning route_id, version, status
), freed as (
  update slot s set active = false
  from advanced a
  where s.market_id = :market_id and s.route_id = a.route_id and a.status <> 'active'
)
select version from advanced;

-- name: count_code_attempt
update stop set code_attempts = code_attempts + 1
where market_id = :market_id and stop_id = :stop_id
returning code_attempts;

-- name: reset_code_attempts!
update stop set code_attempts = 0 where market_id = :market_id and stop_id = :stop_id;

-- name: insert_check_in!
-- Evidence; the first one stands.
insert into check_in (market_id, stop_id, driver_id, method, occurred_at, received_at, lat, lon, accuracy_m, distance_m)
values (:market_id, :stop_id, :driver_id, :method, :occurred_at, :received_at, :lat, :lon, :accuracy_m, :distance_m)
on conflict do nothing;

-- name: stop_codes
-- The secrets a driver may have to prove: the site's check-in code, the store's hand-off code.
select t.stop_id, p.check_in_code, s.handoff_code
from stop t
left join pickup_site p on p.market_id = t.market_id and p.site_id = t.site_id
left join store s on s.market_id = t.market_id and s.store_id = t.store_id
where t.market_id = :market_id and t.stop_id = :stop_id;

-- name: scan_package
-- A second scan changes nothing.
update package
set scanned_at = coalesce(scanned_at, :scanned_at)
where market_id = :market_id and delivery_id = any(:delivery_ids::uuid[]) and barcode = :barcode
returning delivery_id, package_id;

-- name: take_packages
-- Custody passes from the store to the driver.
update package
set custody = 'held'
where market_id = :market_id and delivery_id = any(:delivery_ids::uuid[]) and custody = 'store'
  and package_id <> all(:missing_ids::uuid[])
returning package_id;

-- name: miss_packages
-- What the store could not hand over, each with its reason.
update package p
set custody = 'missing', missing_reason = x.reason
from unnest(:package_ids::uuid[], :reasons::text[]) as x(package_id, reason)
where p.market_id = :market_id and p.package_id = x.package_id and p.custody = 'store'
returning p.package_id;

-- name: settle_packages!
-- Custody ends, wherever it ends.
update package p
set custody = x.custody
from unnest(:delivery_ids::uuid[], :custodies::text[]) as x(delivery_id, custody)
where p.market_id = :market_id and p.delivery_id = x.delivery_id and p.custody = 'held';

-- name: unscan_packages!
-- The next driver scans them anew.
update package
set scanned_at = null
where market_id = :market_id and delivery_id = any(:delivery_ids::uuid[]) and custody = 'store';

-- name: rescan_package
-- Read again, by the counter that takes it back or the driver who takes it over; a second time by the same driver
-- changes nothing.
update package
set rescanned_at = case when rescanned_by = :driver_id then rescanned_at else :rescanned_at end,
    rescanned_by = :driver_id
where market_id = :market_id and delivery_id = any(:delivery_ids::uuid[]) and barcode = :barcode and custody = 'held'
returning delivery_id, package_id;

-- name: unrescan_packages!
update package
set rescanned_at = null, rescanned_by = null
where market_id = :market_id and delivery_id = any(:delivery_ids::uuid[]);

-- name: record_recipient!
update delivery set recipient = :recipient, left_at = :left_at
where market_id = :market_id and delivery_id = :delivery_id;

-- name: insert_proof!
insert into proof (market_id, proof_id, delivery_id, kind, sha256, upload_id, occurred_at, received_at)
values (:market_id, :proof_id, :delivery_id, :kind, :sha256, :upload_id, :occurred_at, :received_at);

-- name: proofs
select kind from proof where market_id = :market_id and delivery_id = :delivery_id;

-- name: delivery_pincode
select pincode, proof_attempts from delivery where market_id = :market_id and delivery_id = :delivery_id;

-- name: count_proof_attempt
update delivery set proof_attempts = proof_attempts + 1
where market_id = :market_id and delivery_id = :delivery_id
returning proof_attempts;

-- name: reset_proof_attempts!
update delivery set proof_attempts = 0 where market_id = :market_id and delivery_id = :delivery_id;
