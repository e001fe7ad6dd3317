-- name: driver_status
select status, presence from driver where market_id = :market_id and driver_id = :driver_id;

-- name: set_driver_status
-- Who may not work is not online either.
update driver
set status = :status,
    presence = case when :status = 'active' then presence else 'offline' end,
    presence_at = case when :status = 'active' or presence = 'offline' then presence_at else :at end
where market_id = :market_id and driver_id = :driver_id and status = any(:sources::text[])
returning status;

-- name: active_work
-- What a driver has in hand, for the operator who takes the driver off the road.
select d.delivery_id, d.status
from route r
join delivery d on d.market_id = r.market_id and d.route_id = r.route_id
where r.market_id = :market_id and r.driver_id = :driver_id and r.status = 'active'
  and d.status <> all(:ended::text[])
order by d.delivery_id;
