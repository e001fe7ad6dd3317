-- name: known
-- Answers already given; read after the driver's lock, so a twin over another transport is either here or not begun.
select r.driver_id, r.device_id, r.cmd, r.request_sha256, r.body
from command_result r
join unnest(:driver_ids::uuid[], :device_ids::text[], :cmds::text[]) as ask(driver_id, device_id, cmd)
  on ask.driver_id = r.driver_id and ask.device_id = r.device_id and ask.cmd = r.cmd
where r.market_id = :market_id;

-- name: insert_results!
-- The answer commits with its effect.
insert into command_result (market_id, driver_id, device_id, cmd, request_sha256, body, created_at)
select :market_id, x.driver_id, x.device_id, x.cmd, x.request_sha256, x.body, :created_at
from unnest(:driver_ids::uuid[], :device_ids::text[], :cmds::text[], :request_sha256s::bytea[], :bodies::bytea[])
  as x(driver_id, device_id, cmd, request_sha256, body);

-- name: forget_results!
-- Bounded clean-up by the sweeper: the relay waits for the oldest transaction, so none may be long.
delete from command_result r
using (select driver_id, device_id, cmd from command_result
       where market_id = :market_id and created_at < :created_before limit :rows_max) old
where r.market_id = :market_id and r.driver_id = old.driver_id and r.device_id = old.device_id and r.cmd = old.cmd;
