-- name: stop_work
-- The stop's kind and deliveries, if it is one of this driver's own routes, whatever became of that.
select t.kind, t.delivery_ids
from stop t
join route r on r.market_id = t.market_id and r.route_id = t.route_id
where t.market_id = :market_id and t.stop_id = :stop_id and r.driver_id = :driver_id;

-- name: route_work
select t.delivery_ids
from stop t
join route r on r.market_id = t.market_id and r.route_id = t.route_id
where t.market_id = :market_id and r.route_id = :route_id and r.driver_id = :driver_id;

-- name: lock_standing
-- How the deliveries stand that this driver has or had, who decided that, locked in id order for what is appended.
select d.delivery_id, d.status, d.driver_id, d.route_id,
       (select e.actor_type from event e
        where e.market_id = d.market_id and e.stream = 'delivery:' || d.delivery_id and e.kind = 'delivery.' || d.status
        order by e.seq desc limit 1) as decided_by
from delivery d
where d.market_id = :market_id and d.delivery_id = any(:delivery_ids::uuid[])
  and (d.driver_id = :driver_id or exists (
    select from event e
    where e.market_id = d.market_id and e.stream = 'delivery:' || d.delivery_id
      and e.data ->> 'driver_id' = :driver_id::uuid::text))
order by d.delivery_id
for no key update of d;
