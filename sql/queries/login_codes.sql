-- name: put_code
-- A new code replaces the last one, unless that is too young or the number has had its codes of the day: then no row.
insert into login_code as c (market_id, phone, code_sha256, counting_since, expires_at, created_at)
values (:market_id, :phone, :code_sha256, :now, :expires_at, :now)
on conflict (market_id, phone) do update set
  code_sha256 = excluded.code_sha256,
  attempts = 0,
  codes_sent = case when c.counting_since <= :day_before then 1 else c.codes_sent + 1 end,
  counting_since = case when c.counting_since <= :day_before then excluded.created_at else c.counting_since end,
  expires_at = excluded.expires_at,
  created_at = excluded.created_at
where c.created_at <= :resend_before and (c.counting_since <= :day_before or c.codes_sent < :codes_max::int)
returning phone;

-- name: code
select code_sha256, attempts, codes_sent, counting_since, expires_at, created_at
from login_code
where market_id = :market_id and phone = :phone;

-- name: lock_code
-- Attempts with one code happen one after another.
select code_sha256, attempts, codes_sent, counting_since, expires_at, created_at
from login_code
where market_id = :market_id and phone = :phone
for update;

-- name: count_attempt!
update login_code set attempts = attempts + 1 where market_id = :market_id and phone = :phone;

-- name: spend_code!
-- The number has proven itself: its counters start anew with its next code.
delete from login_code where market_id = :market_id and phone = :phone;

-- name: driver_by_phone
select driver_id, status from driver where market_id = :market_id and phone = :phone;

-- name: forget_codes!
-- Bounded clean-up by the sweeper; a row is kept as long as its counters matter.
delete from login_code c
using (select phone from login_code
       where market_id = :market_id and created_at < :created_before limit :rows_max) old
where c.market_id = :market_id and c.phone = old.phone;
