-- name: hold_pilots
-- A pilot that is being stopped is waited for; one held here waits until what is opened now can be seen.
select pilot_id
from pilot
where market_id = :market_id and offer_type = any(:offer_types::text[])
order by pilot_id
for share;

-- name: insert_pilot
-- No row when the name is taken.
insert into pilot (market_id, pilot_id, name, offer_type, site_ids, merchant_ids, starts_at, ends_at, created_at)
values (:market_id, :pilot_id, :name, :offer_type, :site_ids, :merchant_ids, :starts_at, :ends_at, :created_at)
on conflict (market_id, name) do nothing
returning pilot_id;

-- name: pilot_named
select pilot_id from pilot where market_id = :market_id and name = :name;

-- name: pilots
select p.pilot_id, p.name, p.offer_type, p.site_ids, p.merchant_ids, p.starts_at, p.ends_at, p.killed_at,
       p.killed_reason, p.created_at, m.cohort_drivers, m.control_drivers
from pilot p
left join lateral (
  select (count(*) filter (where x.arm = 'cohort'))::int as cohort_drivers,
         (count(*) filter (where x.arm = 'control'))::int as control_drivers
  from pilot_member x where x.market_id = p.market_id and x.pilot_id = p.pilot_id
) m on true
where p.market_id = :market_id and (:pilot_id::uuid is null or p.pilot_id = :pilot_id)
order by p.created_at, p.pilot_id;

-- name: drivers_after
-- A page of drivers for the drawing of lots.
select driver_id
from driver
where market_id = :market_id and driver_id > :after_driver_id and status <> 'deactivated'
order by driver_id
limit :rows_max;

-- name: insert_members
-- Who is in an arm stays there: moving a driver would spoil the comparison.
insert into pilot_member (market_id, pilot_id, driver_id, arm)
select :market_id, :pilot_id, x.driver_id, x.arm
from unnest(:driver_ids::uuid[], :arms::text[]) as x(driver_id, arm)
join driver d on d.market_id = :market_id and d.driver_id = x.driver_id
on conflict do nothing
returning driver_id, arm;

-- name: kill_pilot
-- No row when it is stopped already.
update pilot
set killed_at = :killed_at, killed_reason = :killed_reason
where market_id = :market_id and pilot_id = :pilot_id and killed_at is null
returning offer_type, site_ids, merchant_ids;

-- name: resume_pilot
update pilot
set killed_at = null, killed_reason = null
where market_id = :market_id and pilot_id = :pilot_id and killed_at is not null
returning pilot_id;

-- name: lock_pilot_offers
-- Open offers with any work of this pilot, locked in id order; what was accepted meanwhile is no longer open.
select o.offer_id
from offer o
where o.market_id = :market_id and o.status in ('scheduled', 'open')
  and exists (select from offer_delivery od
              join pilot_work w on w.market_id = od.market_id and w.delivery_id = od.delivery_id
              where od.market_id = o.market_id and od.offer_id = o.offer_id and od.active
                and w.pilot_id = :pilot_id)
order by o.offer_id
for no key update of o;

-- name: withdraw_offers
with closed as (
  update offer set status = 'withdrawn', ended_at = :ended_at
  where market_id = :market_id and offer_id = any(:offer_ids::uuid[]) and status in ('scheduled', 'open')
  returning offer_id
), freed as (
  update offer_delivery od set active = false
  from closed
  where od.market_id = :market_id and od.offer_id = closed.offer_id
)
select offer_id from closed order by offer_id;

-- name: measures
-- Every member of both arms with what happened in the window, whether or not they ever worked.
select m.arm, m.driver_id,
       coalesce((select sum(l.amount_cents) from ledger_entry l
                 where l.market_id = m.market_id and l.driver_id = m.driver_id
                   and l.created_at >= :from_at and l.created_at < :to_at), 0)::bigint as earnings_cents,
       w.delivered, w.in_window, w.ended, coalesce(a.accepted, 0) as accepted,
       (select count(*)::int from offer_decline x
        where x.market_id = m.market_id and x.driver_id = m.driver_id
          and x.declined_at >= :from_at and x.declined_at < :to_at) as declined
from pilot_member m
left join (
  select o.driver_id, count(*)::int as accepted
  from offer o
  where o.market_id = :market_id and o.accepted_at >= :from_at and o.accepted_at < :to_at
  group by o.driver_id
) a on a.driver_id = m.driver_id
left join (
  select d.driver_id, (count(*) filter (where d.status = 'delivered'))::int as delivered,
         (count(*) filter (where d.status = 'delivered' and d.status_at <= d.dropoff_deadline_at))::int as in_window,
         count(*)::int as ended
  from delivery d
  where d.market_id = :market_id and d.status in ('delivered', 'returned', 'disposed', 'lost')
    and d.status_at >= :from_at and d.status_at < :to_at
  group by d.driver_id
) w on w.driver_id = m.driver_id
where m.market_id = :market_id and m.pilot_id = :pilot_id
order by m.driver_id;

-- name: cohort_funnel
-- Each step counts only who took the one before; a driver asked twice is one driver.
with sent as (
  select r.driver_id, min(r.sent_at) as sent_at, min(r.seen_at) as seen_at
  from pilot p
  join notice n on n.market_id = p.market_id and n.offer_type = p.offer_type
  join notice_receipt r on r.market_id = n.market_id and r.notice_id = n.notice_id
  join pilot_member m on m.market_id = p.market_id and m.pilot_id = p.pilot_id and m.driver_id = r.driver_id
    and m.arm = 'cohort'
  where p.market_id = :market_id and p.pilot_id = :pilot_id
  group by r.driver_id
), opted as (
  select s.*, case when s.seen_at is not null and e.interested_at >= s.sent_at then e.interested_at end as opted_in_at
  from sent s
  join pilot p on p.market_id = :market_id and p.pilot_id = :pilot_id
  left join enrolment e on e.market_id = p.market_id and e.driver_id = s.driver_id and e.offer_type = p.offer_type
), accepted as (
  select o.driver_id, min(o.accepted_at) as accepted_at
  from pilot p
  join offer o on o.market_id = p.market_id and o.offer_type = p.offer_type
  join opted w on w.driver_id = o.driver_id and o.accepted_at >= w.opted_in_at
  where p.market_id = :market_id and p.pilot_id = :pilot_id
  group by o.driver_id
)
select count(*)::int as sent, count(w.seen_at)::int as seen, count(w.opted_in_at)::int as opted_in,
       count(a.accepted_at)::int as first_accept,
       percentile_cont(0.5) within group (order by extract(epoch from w.seen_at - w.sent_at)::float8)
         as seen_seconds_median,
       percentile_cont(0.5) within group (order by extract(epoch from w.opted_in_at - w.sent_at)::float8)
         as opted_in_seconds_median,
       percentile_cont(0.5) within group (order by extract(epoch from a.accepted_at - w.sent_at)::float8)
         as first_accept_seconds_median
from opted w
left join accepted a on a.driver_id = w.driver_id;
