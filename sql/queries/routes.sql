-- name: routes
-- Routes by id.
select route_id, driver_id, offer_id, status, version
from route
where market_id = :market_id and route_id = any(:route_ids::uuid[]);

-- name: active_routes
-- The routes these drivers have now.
select route_id, driver_id, offer_id, status, version
from route
where market_id = :market_id and driver_id = any(:driver_ids::uuid[]) and status = 'active'
order by route_id;

-- name: all_active_routes
-- Every leg under way in the market, for a process that starts.
select route_id, driver_id, offer_id, status, version
from route
where market_id = :market_id and status = 'active'
order by route_id;

-- name: stops
-- Everything a driver is shown of a stop.
select t.route_id, t.stop_id, t.sequence, t.kind, t.status, t.site_id, t.store_id, t.delivery_ids, t.lat, t.lon,
       t.geofence_radius_m, p.name as site_name, p.address as site_address, p.entrance_name, p.parking_notes,
       s.name as store_name, s.unit as store_unit, s.floor as store_floor, s.phone as store_phone,
       s.pickup_instructions as store_instructions
from stop t
left join pickup_site p on p.market_id = t.market_id and p.site_id = t.site_id
left join store s on s.market_id = t.market_id and s.store_id = t.store_id
where t.market_id = :market_id and t.route_id = any(:route_ids::uuid[])
order by t.route_id, t.sequence;

-- name: route_deliveries
select d.route_id, d.delivery_id, d.store_id, d.site_id, d.external_delivery_id, d.status, d.readiness, d.version,
       d.pickup_ready_at, d.pickup_deadline_at, d.dropoff_ready_at, d.dropoff_deadline_at, d.pickup_instructions,
       d.dropoff_instructions, d.dropoff_address, d.dropoff_unit, d.dropoff_lat, d.dropoff_lon, d.contact_name,
       d.contact_phone, d.dropoff_verification, d.tip_cents, d.currency
from delivery d
where d.market_id = :market_id and d.route_id = any(:route_ids::uuid[])
order by d.delivery_id;

-- name: route_packages
select p.delivery_id, p.package_id, p.barcode, p.size, p.weight_grams, p.must_be_upright, p.custody, p.missing_reason,
       p.scanned_at
from package p
join delivery d on d.market_id = p.market_id and d.delivery_id = p.delivery_id
where p.market_id = :market_id and d.route_id = any(:route_ids::uuid[])
order by p.delivery_id, p.barcode;

-- name: route_of_stop
select route_id, driver_id
from stop join route using (market_id, route_id)
where market_id = :market_id and stop_id = :stop_id;

-- name: route_of_delivery
select route_id, driver_id
from delivery
where market_id = :market_id and delivery_id = :delivery_id and route_id is not null;

-- name: lock_route_deliveries
-- Lock order: driver, offer, delivery, route, stop.
select delivery_id
from delivery
where market_id = :market_id and route_id = :route_id
order by delivery_id
for no key update;

-- name: lock_route
select route_id, driver_id, offer_id, status, version, clock_timestamp() as db_now
from route
where market_id = :market_id and route_id = :route_id
for no key update;

-- name: move_deliveries
-- One conditional statement: only from the statuses the transition table allows.
update delivery d
set status = :status, status_at = :status_at, version = d.version + 1
where d.market_id = :market_id and d.delivery_id = any(:delivery_ids::uuid[]) and d.status = any(:sources::text[])
returning d.delivery_id, d.status, d.readiness, d.version;

-- name: set_readiness
-- The store's side: what was scanned and confirmed has been handed over.
update delivery
set readiness = :readiness, version = version + 1
where market_id = :market_id and delivery_id = any(:delivery_ids::uuid[]) and readiness = any(:sources::text[])
returning delivery_id, status, readiness, version;

-- name: mark_stop
update stop
set status = :status,
    departed_at = coalesce(departed_at, :departed_at),
    arrived_at = coalesce(arrived_at, :arrived_at),
    done_at = coalesce(done_at, :done_at)
where market_id = :market_id and stop_id = :stop_id
returning stop_id;

-- name: advance_route
update route set version = version + 1
where market_id = :market_id and route_id = :route_id
returning version;

-- name: end_route
-- The slot is free again in the same moment.
with ended as (
  update route set status = :status, ended_at = :ended_at
  where market_id = :market_id and route_id = :route_id and status = 'active'
  returning route_id
)
update slot s set active = false
from ended
where s.market_id = :market_id and s.route_id = ended.route_id
returning s.route_id;

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

-- name: hand_over_packages
-- Custody ends at the door.
update package
set custody = 'delivered'
where market_id = :market_id and delivery_id = :delivery_id and custody = 'held'
returning package_id;

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
