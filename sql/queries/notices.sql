-- name: insert_notice!
insert into notice (market_id, notice_id, title, body, action, offer_type, audience, author, created_at, expires_at)
values (:market_id, :notice_id, :title, :body, :action, :offer_type, :audience, :author, :created_at, :expires_at);

-- name: notices
select n.notice_id, n.title, n.body, n.action, n.offer_type, n.audience, n.author, n.created_at, n.expires_at,
       (select count(*)::int from notice_receipt r
        where r.market_id = n.market_id and r.notice_id = n.notice_id) as sent
from notice n
where n.market_id = :market_id and (:notice_id::uuid is null or n.notice_id = :notice_id)
order by n.created_at desc, n.notice_id desc
limit :rows_max;

-- name: recipients
-- A page of the audience in id order, whether or not they have the notice already: the caller's cells are not SQL's.
select d.driver_id, p.lat, p.lon,
       exists (select from notice_receipt r
               where r.market_id = d.market_id and r.notice_id = :notice_id and r.driver_id = d.driver_id) as has_it
from driver d
left join driver_position p on p.market_id = d.market_id and p.driver_id = d.driver_id
where d.market_id = :market_id and d.driver_id > :after_driver_id and d.status = 'active'
  and (:driver_ids::uuid[] is null or d.driver_id = any(:driver_ids))
  and (:pilot_id::uuid is null
       or exists (select from pilot_member m
                  where m.market_id = d.market_id and m.pilot_id = :pilot_id and m.driver_id = d.driver_id
                    and m.arm = :arm))
order by d.driver_id
limit :rows_max;

-- name: insert_receipts
-- Who has it already is not told twice.
insert into notice_receipt (market_id, notice_id, driver_id, sent_at)
select :market_id, :notice_id, x.driver_id, :sent_at
from unnest(:driver_ids::uuid[]) as x(driver_id)
on conflict do nothing
returning driver_id;

-- name: mark_seen!
-- Rows locked in key order: another process may be storing the same driver's other notices.
with locked as (
  select r.market_id, r.notice_id, r.driver_id, x.seen_at
  from unnest(:market_ids::text[], :notice_ids::uuid[], :driver_ids::uuid[], :seen_ats::timestamptz[])
    as x(market_id, notice_id, driver_id, seen_at)
  join notice_receipt r on r.market_id = x.market_id and r.notice_id = x.notice_id and r.driver_id = x.driver_id
  where r.seen_at is null
  order by r.market_id, r.notice_id, r.driver_id
  for no key update of r
)
update notice_receipt r
set seen_at = locked.seen_at
from locked
where r.market_id = locked.market_id and r.notice_id = locked.notice_id and r.driver_id = locked.driver_id;

-- name: mark_acted
-- The newest notice that asked this driver about the offer type; who acts on it has seen it.
update notice_receipt r
set acted_at = :at, seen_at = coalesce(r.seen_at, :at)
where r.market_id = :market_id and r.driver_id = :driver_id and r.acted_at is null
  and r.notice_id = (
    select n.notice_id
    from notice_receipt x
    join notice n on n.market_id = x.market_id and n.notice_id = x.notice_id
    where x.market_id = :market_id and x.driver_id = :driver_id and n.offer_type = :offer_type
    order by x.sent_at desc, n.notice_id desc
    limit 1)
returning r.notice_id;

-- name: funnel
-- Each step counts only who took the one before.
with opted as (
  select r.driver_id, n.offer_type, r.sent_at, r.seen_at,
         case when r.seen_at is not null and e.interested_at >= r.sent_at then e.interested_at end as opted_in_at
  from notice n
  join notice_receipt r on r.market_id = n.market_id and r.notice_id = n.notice_id
  left join enrolment e on e.market_id = r.market_id and e.driver_id = r.driver_id and e.offer_type = n.offer_type
  where n.market_id = :market_id and n.notice_id = :notice_id
), accepted as (
  select o.driver_id, min(o.accepted_at) as accepted_at
  from opted w
  join offer o on o.market_id = :market_id and o.offer_type = w.offer_type and o.driver_id = w.driver_id
    and o.accepted_at >= w.opted_in_at
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
