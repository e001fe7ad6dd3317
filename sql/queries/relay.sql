-- name: stored_position
-- Ours when both identifiers agree; no row yet, or another cluster's (restore, dump, move), means rebase.
select p.system_identifier = c.system_identifier as ours, c.system_identifier,
       p.term, p.xid, p.event_id
from cluster as c
left join relay_position p on p.market_id = :market_id;

-- name: lock_events!
-- Waits for every transaction that is writing events, so that the highest event_id below is the highest there is.
lock table event in share mode;

-- name: rebase!
-- All rows present came from another cluster or nobody ever followed them: committed and done. New ones start at xmin.
insert into relay_position as r (market_id, system_identifier, term, xid, event_id, base_event_id)
select :market_id, c.system_identifier, 0, pg_snapshot_xmin(pg_current_snapshot()), 0,
       coalesce((select max(e.event_id) from event e where e.market_id = :market_id), 0)
from cluster as c
on conflict (market_id) do update
set system_identifier = excluded.system_identifier, xid = excluded.xid, event_id = excluded.event_id,
    base_event_id = excluded.base_event_id
where r.system_identifier <> excluded.system_identifier;

-- name: head
-- The last final row. Never far behind the stored position, so the backward scan is short.
select p.system_identifier, coalesce(last.xid, p.xid) as xid, coalesce(last.event_id, p.event_id) as event_id
from relay_position p
left join lateral (
  select e.xid, e.event_id
  from event e
  where e.market_id = p.market_id and (e.xid, e.event_id) > (p.xid, p.event_id)
    and e.xid < pg_snapshot_xmin(pg_current_snapshot()) and e.event_id > p.base_event_id
  order by e.xid desc, e.event_id desc
  limit 1
) last on true
where p.market_id = :market_id;

-- name: final_events
-- The reading rule: below xmin every transaction has ended, so nothing can still appear before what is read here.
select s.xmin, s.xmax, e.event_id, e.xid, e.stream, e.seq, e.kind, e.occurred_at, e.data::text as data,
       -- Committed, but an older transaction still runs. Own rows only: they are all below xmax.
       exists (select from event w
               where w.market_id = :market_id and w.xid >= s.xmin and w.xid < s.xmax and w.event_id > s.base_event_id
              ) as withheld
from (
  select pg_snapshot_xmin(pg_current_snapshot()) as xmin, pg_snapshot_xmax(pg_current_snapshot()) as xmax,
         coalesce((select p.base_event_id from relay_position p where p.market_id = :market_id), 0) as base_event_id
) s
left join lateral (
  select *
  from event
  where market_id = :market_id and (xid, event_id) > (:after_xid::xid8, :after_event_id::bigint) and xid < s.xmin
    and event_id > s.base_event_id
  order by xid, event_id
  limit :events_max
) e on true
order by e.xid, e.event_id;

-- name: events_between
-- What a message of the chain carried; `upto` was final when it was published.
select e.event_id, e.xid, e.stream, e.seq, e.kind, e.occurred_at, e.data::text as data
from event e
where e.market_id = :market_id
  and (e.xid, e.event_id) > (:after_xid::xid8, :after_event_id::bigint)
  and (e.xid, e.event_id) <= (:upto_xid::xid8, :upto_event_id::bigint)
  and e.event_id > coalesce((select p.base_event_id from relay_position p where p.market_id = :market_id), 0)
order by e.xid, e.event_id
limit :events_max;

-- name: store_position
-- Fenced and forward only.
update relay_position
set term = :term, xid = :xid::xid8, event_id = :event_id::bigint
where market_id = :market_id and system_identifier = :system_identifier and term <= :term
  and (xid, event_id) <= (:xid::xid8, :event_id::bigint)
returning term;
