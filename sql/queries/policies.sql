-- name: market_policy
-- The market's rules and clock; read where they are used, so a change by ops holds from the next decision on.
select policy, policy_version, time_zone, currency, offer_resolution, presence_resolution
from market
where market_id = :market_id;

-- name: market_ids
select market_id from market order by market_id;

-- name: pay_rules
select offer_type, pay_rule from offer_type where market_id = :market_id;
