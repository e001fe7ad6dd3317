-- name: insert_merchant
-- The merchant family is the one whose keys are not led by a market.
insert into merchant (merchant_id, name, brand, created_at)
values (:merchant_id, :name, :brand, :created_at)
on conflict (name) do nothing
returning merchant_id;

-- name: merchant_named
select merchant_id
from merchant
where name = :name;

-- name: merchants
select merchant_id, name, brand, created_at
from merchant
order by name;

-- name: merchants_of_market
select merchant_id, name, brand, created_at
from merchant
where merchant_id in (select merchant_id from store where market_id = :market_id)
order by name;

-- name: merchant_exists
select exists (select 1 from merchant where merchant_id = :merchant_id);

-- name: insert_key!
insert into merchant_key (key_sha256, merchant_id, scopes, created_at)
values (:key_sha256, :merchant_id, :scopes, :created_at);

-- name: live_key
select merchant_id, scopes
from merchant_key
where key_sha256 = :key_sha256 and revoked_at is null;

-- name: revoke_key
update merchant_key
set revoked_at = :revoked_at
where key_sha256 = :key_sha256 and revoked_at is null
returning merchant_id;

-- name: insert_store
-- Claims the merchant's own store number first: it names one store in the whole deployment.
with claimed as (
  insert into merchant_store (merchant_id, external_store_id, market_id, store_id)
  values (:merchant_id, :external_store_id, :market_id, :store_id)
  on conflict (merchant_id, external_store_id) do nothing
  returning store_id
)
insert into store (market_id, store_id, merchant_id, external_store_id, site_id, name, unit, floor, phone,
                   pickup_instructions, hours, holidays, prep_seconds_default, carry_weight_grams_max, handoff_code,
                   created_at)
select :market_id, store_id, :merchant_id, :external_store_id, :site_id, :name, :unit, :floor, :phone,
       :pickup_instructions, :hours, :holidays, :prep_seconds_default, :carry_weight_grams_max, :handoff_code,
       :created_at
from claimed
returning store_id;

-- name: stores
select s.store_id, s.merchant_id, s.external_store_id, s.site_id, s.name, s.unit, s.floor, s.phone,
       s.pickup_instructions, s.hours, s.holidays, s.prep_seconds_default, s.carry_weight_grams_max, s.handoff_code,
       s.created_at
from store s
where s.market_id = :market_id
order by s.name, s.external_store_id;

-- name: store_numbered
-- Which market and store a merchant's own store number means.
select market_id, store_id
from merchant_store
where merchant_id = :merchant_id and external_store_id = :external_store_id;
