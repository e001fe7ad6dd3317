-- name: documents
-- Of one driver, or the market's work list of a status, oldest first.
select driver_id, document, status, upload_id, reason, reviewed_by, expires_at, updated_at
from driver_document
where market_id = :market_id and (:driver_id::uuid is null or driver_id = :driver_id)
  and (:status::text is null or status = :status)
order by updated_at, driver_id, document
limit :rows_max;

-- name: submit_document
-- A new paper replaces the one that was sent, refused or has lapsed; no row where an approved one still holds, for a
-- driver must not lose work by sending another.
insert into driver_document (market_id, driver_id, document, status, upload_id, updated_at)
values (:market_id, :driver_id, :document, 'submitted', :upload_id, :updated_at)
on conflict (market_id, driver_id, document) do update
set status = 'submitted', upload_id = excluded.upload_id, reason = null, reviewed_by = null, expires_at = null,
    updated_at = excluded.updated_at
where driver_document.status <> 'approved' or driver_document.expires_at <= clock_timestamp()
returning driver_id, document, status, upload_id, reason, reviewed_by, expires_at, updated_at;

-- name: decide_document
-- Also without anything sent: papers may be shown at a counter.
insert into driver_document (market_id, driver_id, document, status, reason, reviewed_by, expires_at, updated_at)
values (:market_id, :driver_id, :document, :status, :reason, :reviewed_by, :expires_at, :updated_at)
on conflict (market_id, driver_id, document) do update
set status = excluded.status, reason = excluded.reason, reviewed_by = excluded.reviewed_by,
    expires_at = excluded.expires_at, updated_at = excluded.updated_at
returning driver_id, document, status, upload_id, reason, reviewed_by, expires_at, updated_at;

-- name: upload_exists
select exists (select from upload
               where market_id = :market_id and driver_id = :driver_id and upload_id = :upload_id) as found;
