-- name: extend
-- The caller holds the row and has judged the new deadlines.
update delivery
set pickup_deadline_at = :pickup_deadline_at, dropoff_deadline_at = :dropoff_deadline_at, version = version + 1
where market_id = :market_id and delivery_id = :delivery_id
returning delivery_id, status, readiness, version;
