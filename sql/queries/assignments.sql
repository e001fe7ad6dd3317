-- name: terms
-- What an assignment reads of a delivery besides its locked row: where it is picked up and what must fit in the car.
select d.delivery_id, d.offer_type, d.store_id, d.site_id, d.dropoff_lat, d.dropoff_lon, d.tip_cents, d.currency,
       s.unit as store_unit, s.floor as store_floor, p.entrance_lat, p.entrance_lon, p.geofence_radius_m,
       k.package_count, k.weight_grams, k.must_be_upright
from delivery d
join store s on s.market_id = d.market_id and s.store_id = d.store_id
join pickup_site p on p.market_id = d.market_id and p.site_id = d.site_id
join lateral (
  select count(*)::int as package_count, coalesce(sum(k.weight_grams), 0)::int as weight_grams,
         coalesce(bool_or(k.must_be_upright), false) as must_be_upright
  from package k
  where k.market_id = d.market_id and k.delivery_id = d.delivery_id and k.custody in ('store', 'held')
) k on true
where d.market_id = :market_id and d.delivery_id = any(:delivery_ids::uuid[])
order by d.delivery_id;

-- name: create_route!
-- A route without an offer; the caller holds the driver's row and has found the slot free.
with routed as (
  insert into route (market_id, route_id, driver_id, status, created_at, wait_rate_cents_per_minute)
  values (:market_id, :route_id, :driver_id, 'active', :created_at, :wait_rate_cents_per_minute)
), slotted as (
  insert into slot (market_id, route_id, driver_id, slot) values (:market_id, :route_id, :driver_id, :slot)
)
insert into stop (market_id, stop_id, route_id, sequence, kind, site_id, store_id, delivery_ids, lat, lon,
                  geofence_radius_m)
select :market_id, x.stop_id, :route_id, x.sequence, x.kind, x.site_id, x.store_id,
       -- arrays of arrays do not unnest by row, so each stop carries its deliveries as one array literal
       x.delivery_ids::uuid[], x.lat, x.lon, x.geofence_radius_m
from unnest(:stop_ids::uuid[], :sequences::smallint[], :kinds::text[], :site_ids::uuid[], :store_ids::uuid[],
            :delivery_ids::text[], :lats::float8[], :lons::float8[], :radii_m::int[])
  as x(stop_id, sequence, kind, site_id, store_id, delivery_ids, lat, lon, geofence_radius_m);

-- name: confirm
update delivery d
set status = 'confirmed', status_at = :status_at, version = d.version + 1, driver_id = :driver_id,
    route_id = :route_id, pay_base_cents = :pay_base_cents, pay_distance_cents = :pay_distance_cents
where d.market_id = :market_id and d.delivery_id = :delivery_id and d.status = 'created'
returning d.delivery_id, d.status, d.readiness, d.version;

-- name: begin_transfer
update delivery
set transfer_route_id = :transfer_route_id
where market_id = :market_id and delivery_id = any(:delivery_ids::uuid[]) and transfer_route_id is null
returning delivery_id;

-- name: last_position
select lat, lon from driver_position where market_id = :market_id and driver_id = :driver_id;
