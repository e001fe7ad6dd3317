-- name: insert_upload
-- No row when this upload_id is there already.
insert into upload (market_id, driver_id, upload_id, sha256, media_type, size_bytes, created_at)
values (:market_id, :driver_id, :upload_id, :sha256, :media_type, :size_bytes, :created_at)
on conflict (market_id, driver_id, upload_id) do nothing
returning upload_id;

-- name: upload
select upload_id, sha256, media_type, size_bytes, created_at
from upload
where market_id = :market_id and driver_id = :driver_id and upload_id = :upload_id;

-- name: announced
-- Every hash this upload_id of the driver's stands for so far: of the bytes that came, and of proofs that name it.
select u.sha256
from upload u
where u.market_id = :market_id and u.driver_id = :driver_id and u.upload_id = :upload_id
union
select p.sha256
from delivery d
join proof p on p.market_id = d.market_id and p.delivery_id = d.delivery_id
where d.market_id = :market_id and d.driver_id = :driver_id and p.upload_id = :upload_id and p.sha256 is not null;

-- name: uploads_since
select count(*) from upload where market_id = :market_id and driver_id = :driver_id and created_at > :since;
