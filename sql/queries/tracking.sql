-- name: link
-- The one read behind a tracking link: the token holds, and the delivery has not ended too long ago.
-- The courier's name and place leave the database only while they are on this customer's own leg.
select d.delivery_id, d.external_delivery_id, d.status, d.status_at, d.readiness, d.service_level, d.track_seq,
       d.dropoff_ready_at, d.dropoff_deadline_at, d.dropoff_address, d.dropoff_unit, d.dropoff_instructions,
       d.dropoff_lat, d.dropoff_lon, d.fulfilled_by, d.courier_imminent, d.pincode, d.recipient, d.left_at,
       d.reason_code, s.name as store_name, m.time_zone,
       case when d.status = any(:own_leg::text[]) then r.first_name end as courier_first_name,
       case when d.status = any(:own_leg::text[]) then d.driver_id end as driver_id,
       case when d.status = any(:own_leg::text[]) then c.lat end as courier_lat,
       case when d.status = any(:own_leg::text[]) then c.lon end as courier_lon,
       case when d.status = any(:own_leg::text[]) then c.received_at end as courier_seen_at,
       (select count(*)::int from package p where p.market_id = d.market_id and p.delivery_id = d.delivery_id)
         as package_count
from token t
join delivery d on d.market_id = t.market_id and d.delivery_id = t.subject_id
join store s on s.market_id = d.market_id and s.store_id = d.store_id
join market m on m.market_id = d.market_id
left join driver r on r.market_id = d.market_id and r.driver_id = d.driver_id
left join driver_position c on c.market_id = d.market_id and c.driver_id = d.driver_id
where t.market_id = :market_id and t.token_sha256 = :token_sha256 and t.kind = 'track'
  and t.expires_at > :now and t.revoked_at is null
  and not (d.status = any(:ended::text[]) and d.status_at <= :ended_before);

-- name: facts
-- A customer's own stream after a position, in order.
select seq, kind, data
from event
where market_id = :market_id and stream = :stream and seq > :after_seq
order by seq
limit :rows_max;

-- name: facts_of_kind
select count(*)::int
from event
where market_id = :market_id and stream = :stream and kind = :kind;

-- name: set_courier_imminent
-- Once: the second position that is near, or the same one in another process, changes no row.
update delivery d
set courier_imminent = true
from driver r
where d.market_id = :market_id and d.delivery_id = :delivery_id and d.driver_id = :driver_id and d.status = :status
  and not d.courier_imminent and r.market_id = d.market_id and r.driver_id = d.driver_id
returning r.first_name;

-- name: set_instructions
update delivery
set dropoff_instructions = :dropoff_instructions, version = version + 1
where market_id = :market_id and delivery_id = :delivery_id
returning delivery_id, status, readiness, version;
