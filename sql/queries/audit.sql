-- name: markets
-- The one statement that lists what the others are asked for one by one.
select market_id from market order by market_id;

-- name: offers_with_several_routes
-- I1 as rows: an offer belongs to one driver, ever.
select offer_id, count(*) as routes
from route
where market_id = :market_id and offer_id is not null
group by offer_id
having count(*) > 1;

-- name: streams_with_gaps
-- seq starts at 1 and leaves nothing out.
select stream, count(*) as events, min(seq) as first_seq, max(seq) as last_seq
from event
where market_id = :market_id
group by stream
having min(seq) <> 1 or max(seq) <> count(*);

-- name: counters_apart_from_streams
-- The counter on each entity's own row is the seq of the last event of its stream.
with written as (
  select stream, max(seq) as seq from event where market_id = :market_id group by stream
), counted as (
  select 'offer:' || offer_id as stream, last_seq as seq from offer where market_id = :market_id
  union all
  select 'route:' || route_id, last_seq from route where market_id = :market_id
  union all
  select 'driver:' || driver_id, last_seq from driver where market_id = :market_id
  union all
  select 'delivery:' || delivery_id, last_seq from delivery where market_id = :market_id
  union all
  select 'track:' || delivery_id, track_seq from delivery where market_id = :market_id
)
select stream, coalesce(counted.seq, 0) as counter, coalesce(written.seq, 0) as last_seq
from counted
full join written using (stream)
where coalesce(counted.seq, 0) <> coalesce(written.seq, 0);

-- name: packages_apart_from_deliveries
-- I2: what a delivery's status says about custody is what its packages say.
select d.delivery_id, d.status, p.package_id, p.custody
from delivery d
join package p on p.market_id = d.market_id and p.delivery_id = d.delivery_id
where d.market_id = :market_id
  and case
    when d.status in ('created', 'confirmed', 'enroute_to_pickup', 'arrived_at_pickup', 'cancelled')
      then p.custody not in ('store', 'missing')
    when d.status in ('picked_up', 'enroute_to_dropoff', 'arrived_at_dropoff', 'undeliverable',
                      'enroute_to_return', 'arrived_at_return')
      then p.custody not in ('held', 'missing')
    else p.custody not in (d.status, 'missing')
  end;

-- name: slots_apart_from_routes
-- A slot is held exactly as long as its route is active.
select r.route_id, r.status, s.slot
from route r
left join slot s on s.market_id = r.market_id and s.route_id = r.route_id and s.active
where r.market_id = :market_id and (r.status = 'active') <> (s.slot is not null);

-- name: wins
-- Offers that have, or had, a driver.
select offer_id, driver_id, status
from offer
where market_id = :market_id and driver_id is not null;

-- name: offers_opened
select offer_id from offer where market_id = :market_id;

-- name: deliveries
-- Where every order stands, with what keeps an unfinished one going.
select d.delivery_id, d.external_delivery_id, d.status, d.readiness, d.reason_code, d.track_seq, d.driver_id,
       r.status as route_status, o.status as offer_status, o.valid_until as offer_valid_until
from delivery d
left join route r on r.market_id = d.market_id and r.route_id = d.route_id
left join offer_delivery l on l.market_id = d.market_id and l.delivery_id = d.delivery_id and l.active
left join offer o on o.market_id = l.market_id and o.offer_id = l.offer_id
where d.market_id = :market_id
order by d.created_at, d.delivery_id;
