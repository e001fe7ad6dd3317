-- name: insert_drivers!
insert into driver (market_id, driver_id, first_name, presence_at, routes_active_max, created_at)
select :market_id, x.driver_id, x.first_name, :created_at, x.routes_active_max, :created_at
from unnest(:driver_ids::uuid[], :first_names::text[], :routes_active_maxes::smallint[])
  as x(driver_id, first_name, routes_active_max);

-- name: insert_vehicles!
insert into vehicle (market_id, vehicle_id, driver_id, kind, packages_max, volume_litres, weight_grams_max,
                     carries_upright)
select :market_id, x.vehicle_id, x.driver_id, x.kind, x.packages_max, x.volume_litres, x.weight_grams_max,
       x.carries_upright
from unnest(:vehicle_ids::uuid[], :driver_ids::uuid[], :kinds::text[], :packages_maxes::smallint[],
            :volumes_litres::int[], :weight_grams_maxes::int[], :carries_uprights::bool[])
  as x(vehicle_id, driver_id, kind, packages_max, volume_litres, weight_grams_max, carries_upright);

-- name: insert_active_enrolments
-- Provisioned drivers have accepted the terms in force; a type the market lacks inserts nothing, so the caller counts.
insert into enrolment (market_id, driver_id, offer_type, status, terms_version, updated_at)
select :market_id, x.driver_id, x.offer_type, 'active', t.terms_version, :updated_at
from unnest(:driver_ids::uuid[], :offer_types::text[]) as x(driver_id, offer_type)
join offer_type t on t.market_id = :market_id and t.offer_type = x.offer_type
returning driver_id;

-- name: drivers
-- A page of drivers in id order, which is the order of their creation.
select d.driver_id, d.first_name, d.status, d.presence, d.presence_at, d.routes_active_max, d.created_at,
       v.kind as vehicle_kind, v.packages_max, v.volume_litres, v.weight_grams_max, v.carries_upright,
       array(select e.offer_type from enrolment e
             where e.market_id = d.market_id and e.driver_id = d.driver_id and e.status = 'active'
             order by e.offer_type) as offer_types
from driver d
left join vehicle v on v.market_id = d.market_id and v.driver_id = d.driver_id and v.active
where d.market_id = :market_id and d.driver_id > :after_driver_id
order by d.driver_id
limit :rows_max;

-- name: analyze_fleet!
-- A table that was never analyzed makes the planner keep a bad generic plan until autovacuum looks at it.
analyze driver, vehicle, enrolment, token;
