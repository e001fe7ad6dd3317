-- name: put_target!
-- The caller holds the driver's row. A phone that was another driver's is this one's from now on.
insert into push_target (market_id, kind, address, driver_id, device_id, family_id, keys, registered_at)
values (:market_id, :kind, :address, :driver_id, :device_id, :family_id, :keys, :registered_at)
on conflict (market_id, kind, address) do update
set driver_id = excluded.driver_id, device_id = excluded.device_id, family_id = excluded.family_id,
    keys = excluded.keys, registered_at = excluded.registered_at, dead_at = null;

-- name: replace_targets!
-- The device's former address, and those of the devices registered longest ago beyond the limit.
delete from push_target t
where t.market_id = :market_id and t.driver_id = :driver_id and (t.kind, t.address) <> (:kind, :address)
  and (t.device_id = :device_id
       or (t.kind, t.address) in (
         select k.kind, k.address from push_target k
         where k.market_id = :market_id and k.driver_id = :driver_id and k.device_id <> :device_id
         order by k.registered_at desc, k.device_id
         offset :others_max));

-- name: delete_target!
delete from push_target where market_id = :market_id and driver_id = :driver_id and device_id = :device_id;

-- name: delete_family!
delete from push_target where market_id = :market_id and family_id = :family_id;

-- name: targets
-- Of one driver, newest first, dead ones too.
select kind, device_id, registered_at, dead_at
from push_target
where market_id = :market_id and driver_id = :driver_id
order by registered_at desc, device_id;

-- name: living_targets
-- Of the drivers about to be rung, each one's newest first.
select driver_id, kind, address, device_id, keys, registered_at
from push_target
where market_id = :market_id and driver_id = any(:driver_ids::uuid[]) and dead_at is null
order by driver_id, registered_at desc, device_id;

-- name: mark_dead!
-- Unless it was registered anew since the push service was asked.
update push_target set dead_at = :dead_at
where market_id = :market_id and kind = :kind and address = :address and registered_at = :registered_at;

-- name: forget_targets!
-- Bounded clean-up by the sweeper.
delete from push_target t
using (select kind, address from push_target
       where market_id = :market_id and dead_at < :dead_before limit :rows_max) old
where t.market_id = :market_id and t.kind = old.kind and t.address = old.address;
