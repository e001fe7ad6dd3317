-- name: order_terms
-- Everything a new delivery is judged by, in one read; the participation and the service level may be missing.
select s.store_id, s.site_id, s.hours as store_hours, s.holidays, s.prep_seconds_default, s.carry_weight_grams_max,
       i.hours as site_hours, m.time_zone, m.currency, m.offer_resolution,
       r.brand, l.shape, l.promise_seconds, l.cutoff_local, l.window_end_local, l.days_of_week,
       t.active as offer_type_active,
       p.active as participation_active, p.valid_from as participation_from, p.valid_until as participation_until,
       exists (select from pilot k
               where k.market_id = s.market_id and k.offer_type = :offer_type and k.killed_at is not null
                 and (k.site_ids = '{}' or s.site_id = any(k.site_ids))
                 and (k.merchant_ids = '{}' or s.merchant_id = any(k.merchant_ids))) as pilot_killed
from store s
join pickup_site i on i.market_id = s.market_id and i.site_id = s.site_id
join market m on m.market_id = s.market_id
join merchant r on r.merchant_id = s.merchant_id
left join service_level l on l.market_id = s.market_id and l.service_level = :service_level
left join offer_type t on t.market_id = s.market_id and t.offer_type = :offer_type
left join participation p on p.market_id = s.market_id and p.merchant_id = s.merchant_id
  and p.site_id = s.site_id and p.offer_type = :offer_type
where s.market_id = :market_id and s.store_id = :store_id;

-- name: ordered_before
-- The delivery a retried request has already made.
select d.delivery_id, d.request_sha256, d.external_delivery_id, s.external_store_id, d.store_id, d.service_level,
       d.created_at, d.pickup_ready_at, d.pickup_deadline_at, d.dropoff_ready_at, d.dropoff_deadline_at, d.currency,
       d.fulfilled_by, d.pincode
from delivery d
join store s on s.market_id = d.market_id and s.store_id = d.store_id
where d.market_id = :market_id and d.merchant_id = :merchant_id and d.external_delivery_id = :external_delivery_id;

-- name: insert_delivery
-- No row when a twin of this request came first: the key waits for it to commit.
insert into delivery (market_id, delivery_id, merchant_id, store_id, site_id, offer_type, service_level,
                      external_delivery_id, request_sha256, status, status_at, pickup_ready_at, pickup_deadline_at,
                      dropoff_ready_at, dropoff_deadline_at, pickup_instructions, dropoff_instructions,
                      dropoff_address, dropoff_unit, dropoff_lat, dropoff_lon, dropoff_cell, contact_name,
                      contact_phone, order_value_cents, tip_cents, currency, undeliverable_action,
                      dropoff_verification, pincode, fulfilled_by, created_at)
values (:market_id, :delivery_id, :merchant_id, :store_id, :site_id, :offer_type, :service_level,
        :external_delivery_id, :request_sha256, 'created', :created_at, :pickup_ready_at, :pickup_deadline_at,
        :dropoff_ready_at, :dropoff_deadline_at, :pickup_instructions, :dropoff_instructions,
        :dropoff_address, :dropoff_unit, :dropoff_lat, :dropoff_lon, :dropoff_cell, :contact_name,
        :contact_phone, :order_value_cents, :tip_cents, :currency, :undeliverable_action,
        :dropoff_verification, :pincode, :fulfilled_by, :created_at)
on conflict (market_id, merchant_id, external_delivery_id) do nothing
returning delivery_id, status, readiness, version;

-- name: insert_packages!
insert into package (market_id, delivery_id, package_id, barcode, size, weight_grams, must_be_upright)
select :market_id, :delivery_id, x.package_id, x.barcode, x.size, x.weight_grams, x.must_be_upright
from unnest(:package_ids::uuid[], :barcodes::text[], :sizes::text[], :weights_grams::int[], :must_be_uprights::bool[])
  as x(package_id, barcode, size, weight_grams, must_be_upright);

-- name: packages
-- Package ids rise in the order they were sent.
select package_id, barcode, size, weight_grams, must_be_upright, custody, missing_reason
from package
where market_id = :market_id and delivery_id = :delivery_id
order by package_id;

-- name: delivery
select d.delivery_id, d.merchant_id, d.market_id, d.external_delivery_id, s.external_store_id, d.store_id, d.site_id,
       d.offer_type, d.service_level, d.status, d.status_at, d.readiness, d.version, d.reason_code, d.courier_imminent,
       d.created_at, d.pickup_ready_at, d.pickup_deadline_at, d.dropoff_ready_at, d.dropoff_deadline_at,
       d.dropoff_address, d.dropoff_unit, d.dropoff_lat, d.dropoff_lon, d.contact_name, d.contact_phone,
       d.pickup_instructions, d.dropoff_instructions, d.order_value_cents, d.tip_cents, d.currency,
       d.undeliverable_action, d.dropoff_verification, d.pincode, d.fulfilled_by, d.driver_id, d.route_id
from delivery d
join store s on s.market_id = d.market_id and s.store_id = d.store_id
where d.market_id = :market_id and d.delivery_id = :delivery_id;

-- name: lock_delivery
select delivery_id, merchant_id, status, readiness, version, driver_id
from delivery
where market_id = :market_id and delivery_id = :delivery_id
for no key update;

-- name: set_readiness
update delivery
set readiness = :readiness, version = version + 1
where market_id = :market_id and delivery_id = :delivery_id
returning delivery_id, status, readiness, version;

-- name: delivery_holders
-- In whose hands it is, and in whose it may come: what has to be locked before it.
select d.driver_id, d.route_id, d.transfer_route_id, r.status = 'active' as route_active,
       t.driver_id as second_driver_id,
       (select od.offer_id from offer_delivery od
        where od.market_id = d.market_id and od.delivery_id = d.delivery_id and od.active) as offer_id
from delivery d
left join route r on r.market_id = d.market_id and r.route_id = d.route_id
left join route t on t.market_id = d.market_id and t.route_id = d.transfer_route_id
where d.market_id = :market_id and d.delivery_id = :delivery_id;

-- name: end_links!
-- The next link is another one.
update delivery set link_version = link_version + 1 where market_id = :market_id and delivery_id = :delivery_id;

-- name: link_terms
select merchant_id, link_version, dropoff_deadline_at, status, status_at
from delivery
where market_id = :market_id and delivery_id = :delivery_id;
