-- name: insert_drivers!
insert into driver (market_id, driver_id, first_name, phone, presence_at, routes_active_max, created_at)
select :market_id, x.driver_id, x.first_name, x.phone, :created_at, x.routes_active_max, :created_at
from unnest(:driver_ids::uuid[], :first_names::text[], :phones::text[], :routes_active_maxes::smallint[])
  as x(driver_id, first_name, phone, routes_active_max);

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

-- name: insert_documents
-- Whoever signs a driver up as ready to work vouches for the papers the work asks for.
insert into driver_document (market_id, driver_id, document, status, reviewed_by, updated_at)
select distinct :market_id::text, x.driver_id, needed.document, 'approved', :reviewed_by, :updated_at::timestamptz
from unnest(:driver_ids::uuid[], :offer_types::text[]) as x(driver_id, offer_type)
join offer_type t on t.market_id = :market_id and t.offer_type = x.offer_type
cross join unnest(t.documents_required) as needed(document)
on conflict do nothing;

-- name: invite
-- Whoever has an enrolment of this type keeps it.
insert into enrolment (market_id, driver_id, offer_type, status, updated_at)
select :market_id, x.driver_id, :offer_type, 'invited', :updated_at
from unnest(:driver_ids::uuid[]) as x(driver_id)
on conflict do nothing
returning driver_id;

-- name: enrolments
-- Where drivers stand; the page is in driver order. Nulls ask for all.
select e.driver_id, e.offer_type, e.status, e.terms_version, t.terms_version as terms_version_now, e.reason,
       t.documents_required,
       e.interested_at, e.activated_at, e.updated_at,
       array(select needed.document from unnest(t.documents_required) with ordinality as needed(document, place)
             where not exists (
               select from driver_document d
               where d.market_id = e.market_id and d.driver_id = e.driver_id and d.document = needed.document
                 and d.status = 'approved' and (d.expires_at is null or d.expires_at > clock_timestamp()))
             order by needed.place) as documents_missing,
       exists (select from eligible_enrolment g
               where g.market_id = e.market_id and g.driver_id = e.driver_id and g.offer_type = e.offer_type)
         as eligible
from enrolment e
join offer_type t on t.market_id = e.market_id and t.offer_type = e.offer_type
where e.market_id = :market_id and (:driver_id::uuid is null or e.driver_id = :driver_id)
  and (:offer_type::text is null or e.offer_type = :offer_type)
  and (:status::text is null or e.status = :status)
  and (:after_driver_id::uuid is null or e.driver_id > :after_driver_id)
order by e.driver_id, e.offer_type
limit :rows_max;

-- name: move_enrolment
-- Guarded by where it stood; the caller holds the driver's row. A nonsense time or version stays as it was.
update enrolment
set status = :to_status, terms_version = coalesce(:terms_version, terms_version), reason = :reason,
    updated_at = :at::timestamptz,
    interested_at = case when :interested then :at else interested_at end,
    activated_at = case when :to_status = 'active' then coalesce(activated_at, :at) else activated_at end
where market_id = :market_id and driver_id = :driver_id and offer_type = :offer_type and status = :from_status
returning status;

-- name: entitlements
-- What these drivers may be shown as things stand in this transaction.
select d.driver_id,
       array(select e.offer_type from eligible_enrolment e
             where e.market_id = d.market_id and e.driver_id = d.driver_id order by 1) as offer_types,
       array(select m.pilot_id from pilot_member m
             where m.market_id = d.market_id and m.driver_id = d.driver_id and m.arm = 'cohort'
             order by 1) as pilot_ids
from driver d
where d.market_id = :market_id and d.driver_id = any(:driver_ids::uuid[])
order by d.driver_id;

-- name: enrolled_after
-- A page of the drivers who have anything to do with an offer type.
select driver_id
from enrolment
where market_id = :market_id and offer_type = :offer_type and driver_id > :after_driver_id
order by driver_id
limit :rows_max;

-- name: terms_of
select offer_type, terms_version, documents_required, active
from offer_type
where market_id = :market_id and offer_type = :offer_type;
