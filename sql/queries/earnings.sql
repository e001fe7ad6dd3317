-- name: market_day
-- Today where the market is.
select (:now::timestamptz at time zone time_zone)::date as today, time_zone, currency
from market
where market_id = :market_id;

-- name: earnings
-- A driver's rows of whole local days; a day may have 23 or 25 hours.
select l.entry_id, l.kind, l.amount_cents, l.currency, l.route_id, l.delivery_id, l.created_at,
       (l.created_at at time zone m.time_zone)::date as local_date,
       e.kind as event_kind, e.reason_code, s.name as store_name
from market m
join ledger_entry l on l.market_id = m.market_id
join event e on e.market_id = l.market_id and e.event_id = l.event_id
left join delivery d on d.market_id = l.market_id and d.delivery_id = l.delivery_id
left join store s on s.market_id = d.market_id and s.store_id = d.store_id
where m.market_id = :market_id and l.driver_id = :driver_id
  and l.created_at >= (:from_date::date::timestamp at time zone m.time_zone)
  and l.created_at < ((:to_date::date + 1)::timestamp at time zone m.time_zone)
order by l.created_at, l.event_id, l.entry_id
limit :rows_max;
