-- name: put
-- Numbered by the driver's own counter; the caller holds the drivers' rows.
with target as (
  update driver set inbox_seq = inbox_seq + 1
  where market_id = :market_id and driver_id = any(:driver_ids::uuid[])
  returning driver_id, inbox_seq
)
insert into driver_inbox (market_id, driver_id, inbox_seq, kind, body, created_at, expires_at)
select :market_id, driver_id, inbox_seq, :kind, :body, :created_at, :expires_at
from target
returning driver_id, inbox_seq;
