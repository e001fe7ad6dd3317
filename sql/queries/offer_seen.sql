-- name: insert_seen!
-- The first time counts; what a phone makes up about offers that do not exist is ignored. In key order: another process
-- may be storing the same offers.
insert into offer_seen (market_id, offer_id, driver_id, seen_at)
select x.market_id, x.offer_id, x.driver_id, x.seen_at
from unnest(:market_ids::text[], :offer_ids::uuid[], :driver_ids::uuid[], :seen_ats::timestamptz[])
  as x(market_id, offer_id, driver_id, seen_at)
join offer o on o.market_id = x.market_id and o.offer_id = x.offer_id
order by x.market_id, x.offer_id, x.driver_id
on conflict do nothing;

-- name: forget_seen!
-- Bounded clean-up by the sweeper.
delete from offer_seen s
using (select offer_id, driver_id from offer_seen
       where market_id = :market_id and seen_at < :seen_before limit :rows_max) old
where s.market_id = :market_id and s.offer_id = old.offer_id and s.driver_id = old.driver_id;
