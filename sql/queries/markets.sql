-- name: insert_market
-- No row when the id is taken: the caller answers with what is there.
insert into market (market_id, name, time_zone, currency, offer_resolution, presence_resolution, policy, created_at)
values (:market_id, :name, :time_zone, :currency, :offer_resolution, :presence_resolution, :policy, :created_at)
on conflict (market_id) do nothing
returning market_id;

-- name: market
select market_id, name, time_zone, currency, offer_resolution, presence_resolution, policy, policy_version, created_at
from market
where market_id = :market_id;

-- name: markets
-- The one list that spans markets: it reads the directory, not their data.
select market_id, name, time_zone, currency, offer_resolution, presence_resolution, policy, policy_version, created_at
from market
order by market_id;

-- name: set_policy
-- A policy is replaced as a whole and numbered, so each decision can name the one it used.
update market
set policy = :policy, policy_version = policy_version + 1
where market_id = :market_id and policy <> :policy
returning policy_version;

-- name: insert_site
insert into pickup_site (market_id, site_id, parent_site_id, kind, name, address, lat, lon, entrance_name,
                         entrance_lat, entrance_lon, geofence_radius_m, hours, parking_notes, check_in_code, created_at)
values (:market_id, :site_id, :parent_site_id, :kind, :name, :address, :lat, :lon, :entrance_name,
        :entrance_lat, :entrance_lon, :geofence_radius_m, :hours, :parking_notes, :check_in_code, :created_at)
on conflict (market_id, name) do nothing
returning site_id;

-- name: sites
select site_id, parent_site_id, kind, name, address, lat, lon, entrance_name, entrance_lat, entrance_lon,
       geofence_radius_m, hours, parking_notes, check_in_code, created_at
from pickup_site
where market_id = :market_id
order by name;

-- name: site_named
select site_id
from pickup_site
where market_id = :market_id and name = :name;

-- name: site_exists
select exists (select 1 from pickup_site where market_id = :market_id and site_id = :site_id);

-- name: put_offer_type!
-- created_at keeps the first answer; everything else is replaced.
insert into offer_type (market_id, offer_type, name, terms_version, documents_required, pay_rule, active, created_at)
values (:market_id, :offer_type, :name, :terms_version, :documents_required, :pay_rule, :active, :created_at)
on conflict (market_id, offer_type) do update
set name = excluded.name, terms_version = excluded.terms_version, documents_required = excluded.documents_required,
    pay_rule = excluded.pay_rule, active = excluded.active;

-- name: offer_types
select offer_type, name, terms_version, documents_required, pay_rule, active, created_at
from offer_type
where market_id = :market_id
order by offer_type;

-- name: put_service_level!
insert into service_level (market_id, service_level, shape, promise_seconds, cutoff_local, window_end_local,
                           days_of_week)
values (:market_id, :service_level, :shape, :promise_seconds, :cutoff_local, :window_end_local, :days_of_week)
on conflict (market_id, service_level) do update
set shape = excluded.shape, promise_seconds = excluded.promise_seconds, cutoff_local = excluded.cutoff_local,
    window_end_local = excluded.window_end_local, days_of_week = excluded.days_of_week;

-- name: service_levels
select service_level, shape, promise_seconds, cutoff_local, window_end_local, days_of_week
from service_level
where market_id = :market_id
order by service_level;

-- name: put_participation!
insert into participation (market_id, merchant_id, site_id, offer_type, active, valid_from, valid_until)
values (:market_id, :merchant_id, :site_id, :offer_type, :active, :valid_from, :valid_until)
on conflict (market_id, merchant_id, site_id, offer_type) do update
set active = excluded.active, valid_from = excluded.valid_from, valid_until = excluded.valid_until;

-- name: participations
select merchant_id, site_id, offer_type, active, valid_from, valid_until
from participation
where market_id = :market_id
order by merchant_id, site_id, offer_type;

-- name: analyze_directory!
-- A table that was never analyzed makes the planner keep a bad generic plan until autovacuum looks at it.
analyze market, pickup_site, store, merchant_store, participation, offer_type, service_level;
