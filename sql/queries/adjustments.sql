-- name: adjusted_delivery
-- The delivery an adjustment is about, its row held for the event that earns it.
select delivery_id, driver_id, route_id, currency
from delivery
where market_id = :market_id and delivery_id = :delivery_id
for no key update;

-- name: had_delivery
-- Whether this driver ever had it: the stream says so.
select exists (
  select from event
  where market_id = :market_id and stream = 'delivery:' || :delivery_id::text
    and data ->> 'driver_id' = :driver_id::text
) as found;
