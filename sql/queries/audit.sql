-- name: markets
-- The one statement that lists what the others are asked for one by one.
select market_id from market order by market_id;

-- name: offers_with_several_routes
-- I1 as rows: an offer belongs to one driver, ever.
select offer_id, count(*) as routes
from route
where market_id = :market_id and offer_id is not null
group by offer_id
having count(*) > 1;

-- name: rings_for_what_was_taken
-- Both times are the database clock's, read under a lock of the offer's row.
select r.offer_id, r.driver_id, r.rung_at, o.accepted_at
from wake_ring r
join offer o on o.market_id = r.market_id and o.offer_id = r.offer_id
where r.market_id = :market_id and r.rung_at > o.accepted_at;

-- name: streams_with_gaps
-- seq starts at 1 and leaves nothing out.
select stream, count(*) as events, min(seq) as first_seq, max(seq) as last_seq
from event
where market_id = :market_id
group by stream
having min(seq) <> 1 or max(seq) <> count(*);

-- name: counters_apart_from_streams
-- The counter on each entity's own row is the seq of the last event of its stream.
with written as (
  select stream, max(seq) as seq from event where market_id = :market_id group by stream
), counted as (
  select 'offer:' || offer_id as stream, last_seq as seq from offer where market_id = :market_id
  union all
  select 'route:' || route_id, last_seq from route where market_id = :market_id
  union all
  select 'driver:' || driver_id, last_seq from driver where market_id = :market_id
  union all
  select 'delivery:' || delivery_id, last_seq from delivery where market_id = :market_id
  union all
  select 'track:' || delivery_id, track_seq from delivery where market_id = :market_id
)
select stream, coalesce(counted.seq, 0) as counter, coalesce(written.seq, 0) as last_seq
from counted
full join written using (stream)
where coalesce(counted.seq, 0) <> coalesce(written.seq, 0);

-- name: packages_apart_from_deliveries
-- I2: what a delivery's status says about custody is what its packages say.
select d.delivery_id, d.status, p.package_id, p.custody
from delivery d
join package p on p.market_id = d.market_id and p.delivery_id = d.delivery_id
where d.market_id = :market_id
  and case
    when d.status in ('created', 'confirmed', 'enroute_to_pickup', 'arrived_at_pickup', 'cancelled')
      then p.custody not in ('store', 'missing')
    when d.status in ('picked_up', 'enroute_to_dropoff', 'arrived_at_dropoff', 'undeliverable',
                      'enroute_to_return', 'arrived_at_return')
      then p.custody not in ('held', 'missing')
    else p.custody not in (d.status, 'missing')
  end;

-- name: packages_apart_from_offers
-- I2: nothing has been added to a delivery, or vanished from it, since it was offered.
select o.offer_id, (o.payload ->> 'package_count')::int as offered, counted.packages
from offer o
cross join lateral (
  select count(*)::int as packages
  from offer_delivery l
  join package p on p.market_id = l.market_id and p.delivery_id = l.delivery_id
  where l.market_id = o.market_id and l.offer_id = o.offer_id
) counted
where o.market_id = :market_id and (o.payload ->> 'package_count')::int <> counted.packages;

-- name: deliveries_without_packages
-- I2: an order is about something.
select d.delivery_id, d.status
from delivery d
where d.market_id = :market_id
  and not exists (select from package p where p.market_id = d.market_id and p.delivery_id = d.delivery_id);

-- name: statuses_off_the_table
-- I2: every step a delivery's stream tells is a row of the transition table for whoever took it. The rows of a custody
-- transfer count only where the driver changed.
with told as (
  select stream, seq, kind, actor_type, data -> 'update' ->> 'status' as status, data ->> 'driver_id' as driver_id
  from event
  where market_id = :market_id and stream like 'delivery:%' and data -> 'update' ->> 'status' is not null
), step as (
  select told.*, lag(status) over w as from_status, lag(driver_id) over w as from_driver_id
  from told
  window w as (partition by stream order by seq)
)
select s.stream, s.seq, s.kind, s.from_status, s.status, s.actor_type
from step s
where s.status is distinct from s.from_status
  and (s.from_status is not null or s.status <> 'created')
  and not exists (
    select
    from unnest(:from_statuses::text[], :to_statuses::text[], :actor_types::text[], :are_transfers::boolean[])
      as r(from_status, to_status, actor_type, is_transfer)
    where r.from_status = s.from_status and r.to_status = s.status and r.actor_type = s.actor_type
      and (not r.is_transfer or s.driver_id is distinct from s.from_driver_id));

-- name: statuses_apart_from_events
-- What a delivery is, is what was told last.
select d.delivery_id, d.status, told.status as told
from delivery d
left join lateral (
  select e.data -> 'update' ->> 'status' as status
  from event e
  where e.market_id = d.market_id and e.stream = 'delivery:' || d.delivery_id
    and e.data -> 'update' ->> 'status' is not null
  order by e.seq desc
  limit 1
) told on true
where d.market_id = :market_id and d.status is distinct from told.status;

-- name: deliveries_apart_from_routes
-- Who has a delivery is the driver of its route; what is not finished is on an active one, what waits is on none.
select d.delivery_id, d.status, d.driver_id, d.route_id, r.driver_id as route_driver_id, r.status as route_status
from delivery d
left join route r on r.market_id = d.market_id and r.route_id = d.route_id
where d.market_id = :market_id
  and (d.driver_id is distinct from r.driver_id
       or (d.status = 'created' and d.route_id is not null)
       or (d.status not in ('created', 'delivered', 'returned', 'disposed', 'cancelled', 'lost')
           and r.status is distinct from 'active'));

-- name: deliveries_without_a_stop
-- No trap: what is under way has an open stop of its route ahead. At `undeliverable` somebody decides first.
select d.delivery_id, d.status, d.route_id
from delivery d
join route r on r.market_id = d.market_id and r.route_id = d.route_id and r.status = 'active'
where d.market_id = :market_id
  and d.status not in ('created', 'delivered', 'undeliverable', 'returned', 'disposed', 'cancelled', 'lost')
  and not exists (
    select from stop s
    where s.market_id = d.market_id and s.route_id = d.route_id and s.status in ('pending', 'arrived')
      and s.kind <> 'site' and d.delivery_id = any (s.delivery_ids));

-- name: transfers_without_an_end
-- A delivery promised to a second driver is held by the first and waited for by the second.
select d.delivery_id, d.status, d.route_id, d.transfer_route_id, r.status as transfer_route_status
from delivery d
left join route r on r.market_id = d.market_id and r.route_id = d.transfer_route_id
where d.market_id = :market_id and d.transfer_route_id is not null
  and (r.status is distinct from 'active'
       or d.transfer_route_id = d.route_id
       or d.status not in ('picked_up', 'enroute_to_dropoff', 'arrived_at_dropoff', 'undeliverable',
                           'enroute_to_return', 'arrived_at_return')
       or not exists (
         select from stop s
         where s.market_id = d.market_id and s.route_id = d.transfer_route_id and s.kind = 'handover'
           and s.status in ('pending', 'arrived') and d.delivery_id = any (s.delivery_ids)));

-- name: offers_apart_from_routes
-- I1: an offer that has, or had, a driver has that driver's route, and both are alive or neither.
select coalesce(o.offer_id, r.offer_id) as offer_id, o.status, o.driver_id, r.route_id, r.status as route_status,
       r.driver_id as route_driver_id
from (select * from offer where market_id = :market_id and driver_id is not null) o
full join (select * from route where market_id = :market_id and offer_id is not null) r on r.offer_id = o.offer_id
where o.driver_id is distinct from r.driver_id or (o.status = 'accepted') <> (r.status = 'active');

-- name: offers_of_what_is_not_theirs
-- What an offer still names is waiting while it is open, and on its driver's route or finished once it was taken.
select o.offer_id, o.status, d.delivery_id, d.status as delivery_status, d.route_id
from offer_delivery l
join offer o on o.market_id = l.market_id and o.offer_id = l.offer_id
join delivery d on d.market_id = l.market_id and d.delivery_id = l.delivery_id
left join route r on r.market_id = o.market_id and r.offer_id = o.offer_id
where l.market_id = :market_id and l.active
  and case
    when o.status in ('scheduled', 'open') then d.status <> 'created'
    when o.status = 'accepted'
      then d.route_id is distinct from r.route_id
        and d.status not in ('delivered', 'returned', 'disposed', 'cancelled', 'lost')
    else true
  end;

-- name: slots_apart_from_routes
-- A slot is held exactly as long as its route is active, by the driver of that route.
select r.route_id, r.status, r.driver_id, s.slot, s.driver_id as slot_driver_id
from route r
left join slot s on s.market_id = r.market_id and s.route_id = r.route_id and s.active
where r.market_id = :market_id
  and ((r.status = 'active') <> (s.slot is not null) or s.driver_id <> r.driver_id);

-- name: money_without_its_event
-- I9: each row names the event that earned it: of its delivery, of its route, or of its driver.
select l.entry_id, l.kind, l.amount_cents, l.delivery_id, l.route_id, l.event_id, e.stream
from ledger_entry l
left join event e on e.market_id = l.market_id and e.event_id = l.event_id
where l.market_id = :market_id
  and (e.event_id is null
       or e.stream not in (coalesce('delivery:' || l.delivery_id, ''), coalesce('route:' || l.route_id, ''),
                           'driver:' || l.driver_id));

-- name: money_apart_from_deliveries
-- I9: what a finished delivery was quoted is what its driver has earned for it, and nothing is earned before.
-- Rows of routes taken before deliveries carried their own pay name no delivery and are left alone.
with earned as (
  select delivery_id, kind, sum(amount_cents) as cents, array_agg(distinct driver_id) as driver_ids
  from ledger_entry
  where market_id = :market_id and delivery_id is not null and kind in ('base', 'distance', 'tip', 'return')
  group by delivery_id, kind
), owed as (
  select d.delivery_id, d.status, d.driver_id, x.kind, x.cents
  from delivery d
  cross join lateral (values
    ('base', case when d.status in ('delivered', 'disposed', 'returned') then d.pay_base_cents end),
    ('distance', case when d.status in ('delivered', 'disposed', 'returned') then d.pay_distance_cents end),
    ('return', case when d.status = 'returned' then d.pay_return_cents end),
    ('tip', case when d.status = 'delivered' then d.tip_cents end)
  ) as x(kind, cents)
  where d.market_id = :market_id
    and (d.pay_base_cents is not null or d.status not in ('delivered', 'disposed', 'returned'))
)
select o.delivery_id, o.status, o.kind, coalesce(o.cents, 0) as owed_cents, coalesce(e.cents, 0) as earned_cents,
       o.driver_id, e.driver_ids
from owed o
left join earned e on e.delivery_id = o.delivery_id and e.kind = o.kind
where coalesce(o.cents, 0) <> coalesce(e.cents, 0)
   or (e.cents <> 0 and e.driver_ids <> array[o.driver_id]);

-- name: money_apart_from_offers
-- I9: a route delivered whole has earned exactly the base its offer promised.
select o.offer_id, r.route_id, o.base_cents as promised_cents, earned.cents as earned_cents
from offer o
join route r on r.market_id = o.market_id and r.offer_id = o.offer_id
cross join lateral (
  select coalesce(sum(l.amount_cents), 0) as cents
  from ledger_entry l
  where l.market_id = o.market_id and l.route_id = r.route_id and l.kind in ('base', 'distance')
) earned
where o.market_id = :market_id and o.status = 'completed'
  and not exists (
    select from offer_delivery l
    join delivery d on d.market_id = l.market_id and d.delivery_id = l.delivery_id
    where l.market_id = o.market_id and l.offer_id = o.offer_id
      and (d.status <> 'delivered' or d.route_id is distinct from r.route_id))
  and earned.cents <> o.base_cents;

-- name: alerts_open_twice
-- One open alert of a kind about one thing.
select kind, subject_id, count(*) as alerts
from alert
where market_id = :market_id and resolved_at is null
group by kind, subject_id
having count(*) > 1;

-- name: inboxes_past_their_counter
-- The next entry of a driver's inbox gets a number of its own.
select d.driver_id, d.inbox_seq as counter, max(i.inbox_seq) as last_seq
from driver d
join driver_inbox i on i.market_id = d.market_id and i.driver_id = d.driver_id
where d.market_id = :market_id
group by d.driver_id, d.inbox_seq
having max(i.inbox_seq) > d.inbox_seq;

-- name: proofs_apart_from_uploads
-- The picture that was announced is the picture that was sent.
select p.proof_id, p.delivery_id, p.kind, p.upload_id
from proof p
join delivery d on d.market_id = p.market_id and d.delivery_id = p.delivery_id
join upload u on u.market_id = p.market_id and u.driver_id = d.driver_id and u.upload_id = p.upload_id
where p.market_id = :market_id and p.sha256 is not null and p.sha256 <> u.sha256;

-- name: wins
-- Offers that have, or had, a driver.
select offer_id, driver_id, status
from offer
where market_id = :market_id and driver_id is not null;

-- name: offers_opened
select offer_id from offer where market_id = :market_id;

-- name: deliveries
-- Where every order stands, with what keeps an unfinished one going.
select d.delivery_id, d.external_delivery_id, d.status, d.readiness, d.reason_code, d.track_seq, d.driver_id,
       r.status as route_status, o.status as offer_status, o.valid_until as offer_valid_until,
       exists (select from event e
               where e.market_id = d.market_id and e.stream = 'track:' || d.delivery_id
                 and e.kind = 'track.link_revoked') as link_revoked
from delivery d
left join route r on r.market_id = d.market_id and r.route_id = d.route_id
left join offer_delivery l on l.market_id = d.market_id and l.delivery_id = d.delivery_id and l.active
left join offer o on o.market_id = l.market_id and o.offer_id = l.offer_id
where d.market_id = :market_id
order by d.created_at, d.delivery_id;

-- name: routes
-- What phones should hold: a driver's active routes, and those that are over.
select route_id, driver_id, version, status from route where market_id = :market_id;

-- name: offers_over
-- What no phone should show any more.
select offer_id from offer where market_id = :market_id and status not in ('scheduled', 'open');

-- name: answers_kept
-- The answers a device was given, as they would be repeated to it.
select cmd, sha256(body) as body_sha256
from command_result
where market_id = :market_id and driver_id = :driver_id and device_id = :device_id;
