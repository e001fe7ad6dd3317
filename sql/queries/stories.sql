-- name: delivery
select d.delivery_id, d.market_id, d.merchant_id, m.name as merchant_name, d.store_id, s.name as store_name, d.site_id,
       p.name as site_name, d.offer_type, d.service_level, d.external_delivery_id, d.status, d.status_at, d.readiness,
       d.version, d.reason_code, d.pickup_ready_at, d.pickup_deadline_at, d.dropoff_ready_at, d.dropoff_deadline_at,
       d.pickup_instructions, d.dropoff_instructions, d.dropoff_address, d.dropoff_unit, d.dropoff_lat, d.dropoff_lon,
       d.contact_name, d.contact_phone, d.order_value_cents, d.tip_cents, d.currency, d.undeliverable_action,
       d.dropoff_verification, d.proof_attempts, d.attempts, d.fulfilled_by, d.courier_imminent, d.driver_id,
       r.first_name as driver_first_name, r.status as driver_status, d.route_id, d.transfer_route_id, d.recipient,
       d.left_at, d.pay_base_cents, d.pay_distance_cents, d.pay_return_cents, d.created_at
from delivery d
join merchant m on m.merchant_id = d.merchant_id
join store s on s.market_id = d.market_id and s.store_id = d.store_id
join pickup_site p on p.market_id = d.market_id and p.site_id = d.site_id
left join driver r on r.market_id = d.market_id and r.driver_id = d.driver_id
where d.market_id = :market_id and d.delivery_id = :delivery_id;

-- name: packages
select package_id, barcode, size, weight_grams, must_be_upright, custody, missing_reason, scanned_at, rescanned_at
from package
where market_id = :market_id and delivery_id = :delivery_id
order by package_id;

-- name: offers
select o.offer_id, o.shape, o.rule, o.status, o.version, o.ring, o.base_cents, o.distance_cents, o.tip_cents,
       o.wait_rate_cents_per_minute, o.currency, o.policy, o.policy_version, o.opened_at, o.valid_until, o.driver_id,
       o.accepted_at, o.ended_at, od.sequence, od.active,
       array(select x.delivery_id from offer_delivery x
             where x.market_id = o.market_id and x.offer_id = o.offer_id order by x.sequence) as delivery_ids,
       (select coalesce(jsonb_agg(jsonb_build_object('driver_id', x.driver_id, 'reason', x.reason,
                                                     'declined_at', x.declined_at) order by x.declined_at), '[]')
        from offer_decline x where x.market_id = o.market_id and x.offer_id = o.offer_id) as declines
from offer_delivery od
join offer o on o.market_id = od.market_id and o.offer_id = od.offer_id
where od.market_id = :market_id and od.delivery_id = :delivery_id
order by o.opened_at, o.offer_id;

-- name: decisions
select decision_id, decided_at, policy, policy_version, action, offer_id, inputs
from dispatch_decision
where market_id = :market_id and offer_id = any(:offer_ids::uuid[])
order by decided_at, decision_id;

-- name: ledger
select entry_id, driver_id, route_id, kind, amount_cents, currency, event_id, created_at
from ledger_entry
where market_id = :market_id and delivery_id = :delivery_id and driver_id = any(:driver_ids::uuid[])
order by created_at, event_id, kind;

-- name: drivers
-- Everybody the streams of the delivery name.
select distinct (e.data ->> 'driver_id')::uuid as driver_id
from event e
where e.market_id = :market_id and e.stream = 'delivery:' || :delivery_id::uuid and e.data ->> 'driver_id' is not null;

-- name: routes
-- Of its offers, of its row, and those that operators made for it.
select r.route_id, r.driver_id, d.first_name as driver_first_name, r.offer_id, r.status, r.version, r.created_at,
       r.ended_at, r.wait_rate_cents_per_minute, r.silent_at
from route r
join driver d on d.market_id = r.market_id and d.driver_id = r.driver_id
where r.market_id = :market_id
  and (r.route_id = any(:route_ids::uuid[]) or r.offer_id = any(:offer_ids::uuid[]))
order by r.created_at, r.route_id;

-- name: stops
select route_id, stop_id, sequence, kind, status, site_id, store_id, delivery_ids, lat, lon, geofence_radius_m,
       departed_at, arrived_at, done_at, code_attempts
from stop
where market_id = :market_id and route_id = any(:route_ids::uuid[])
order by route_id, sequence;

-- name: check_ins
select stop_id, driver_id, method, occurred_at, received_at, lat, lon, accuracy_m, distance_m
from check_in
where market_id = :market_id and stop_id = any(:stop_ids::uuid[])
order by received_at, stop_id;

-- name: proofs
select proof_id, kind, encode(sha256, 'hex') as sha256, upload_id, occurred_at, received_at
from proof
where market_id = :market_id and delivery_id = :delivery_id
order by received_at, proof_id;

-- name: alerts
select alert_id, kind, subject_id, delivery_id, route_id, driver_id, detail, opened_at, resolved_at, resolved_by,
       resolution
from alert
where market_id = :market_id and subject_id = any(:subject_ids::uuid[])
order by opened_at, alert_id;

-- name: events
-- In the order in which they were committed to be told.
select event_id, stream, seq, kind, occurred_at, received_at, actor_type, actor_id, reason_code, data
from event
where market_id = :market_id and stream = any(:streams::text[])
order by xid, event_id
limit :rows_max;
