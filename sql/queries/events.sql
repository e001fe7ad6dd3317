-- name: append_events
-- Counters and events in one statement, in input order. A row's xid is raised to its predecessor's: (xid, event_id) never contradicts a stream.
with input as materialized (
  select *
  from unnest(:stream_kinds::text[], :entity_ids::uuid[], :kinds::text[], :actor_types::text[], :actor_ids::text[],
              :reason_codes::text[], :occurred_ats::timestamptz[], :received_ats::timestamptz[], :bodies::text[])
    with ordinality as i(stream_kind, entity_id, kind, actor_type, actor_id, reason_code, occurred_at, received_at,
                         body, place)
), counted as materialized (
  select stream_kind, entity_id, count(*) as events from input group by stream_kind, entity_id
), driver_head as (
  update driver h set last_seq = h.last_seq + c.events
  from counted c
  where h.market_id = :market_id and h.driver_id = c.entity_id and c.stream_kind = 'driver'
  returning h.driver_id as entity_id, h.last_seq - c.events as before
), offer_head as (
  update offer h set last_seq = h.last_seq + c.events
  from counted c
  where h.market_id = :market_id and h.offer_id = c.entity_id and c.stream_kind = 'offer'
  returning h.offer_id as entity_id, h.last_seq - c.events as before
), delivery_head as (
  -- Two streams, one row: a statement cannot update a row twice.
  update delivery h set last_seq = h.last_seq + c.facts, track_seq = h.track_seq + c.tracks
  from (
    select entity_id, coalesce(sum(events) filter (where stream_kind = 'delivery'), 0)::bigint as facts,
           coalesce(sum(events) filter (where stream_kind = 'track'), 0)::bigint as tracks
    from counted where stream_kind in ('delivery', 'track') group by entity_id
  ) c
  where h.market_id = :market_id and h.delivery_id = c.entity_id
  returning h.delivery_id as entity_id, h.last_seq - c.facts as before, h.track_seq - c.tracks as track_before
), route_head as (
  update route h set last_seq = h.last_seq + c.events
  from counted c
  where h.market_id = :market_id and h.route_id = c.entity_id and c.stream_kind = 'route'
  returning h.route_id as entity_id, h.last_seq - c.events as before
), head as (
  select 'driver' as stream_kind, entity_id, before from driver_head
  union all select 'offer', entity_id, before from offer_head
  union all select 'delivery', entity_id, before from delivery_head
  union all select 'track', entity_id, track_before from delivery_head
  union all select 'route', entity_id, before from route_head
), linked as materialized (
  select c.stream_kind, c.entity_id, h.before,
         (select p.xid from event p
          where p.market_id = :market_id and p.stream = c.stream_kind || ':' || c.entity_id and p.seq = h.before
         ) as predecessor_xid
  from counted c
  left join head h on h.stream_kind = c.stream_kind and h.entity_id = c.entity_id
), inserted as (
  insert into event (market_id, stream, seq, xid, kind, occurred_at, received_at, actor_type, actor_id, reason_code,
                     data)
  select :market_id, i.stream_kind || ':' || i.entity_id,
         l.before + row_number() over (partition by i.stream_kind, i.entity_id order by i.place),
         -- A predecessor this cluster cannot have written (restore, dump) counts as long finished.
         greatest(pg_current_xact_id(),
                  (select l.predecessor_xid from linked l
                   where l.predecessor_xid < pg_snapshot_xmax(pg_current_snapshot())
                   order by l.predecessor_xid desc limit 1)),
         i.kind, i.occurred_at, i.received_at, i.actor_type, i.actor_id, i.reason_code, i.body::jsonb
  from input i
  join linked l on l.stream_kind = i.stream_kind and l.entity_id = i.entity_id
  order by i.place
  returning event_id, stream, seq
)
select e.event_id, e.stream, e.seq,
       exists (select from linked l where l.before > 0 and l.predecessor_xid is null) as unlinked
from inserted e
order by e.event_id;

-- name: relink_events!
-- For a writer that had to wait for the entity's row inside append_events: only a later snapshot sees the predecessor.
update event e
set xid = greatest(e.xid, (
  select p.xid
  from unnest(:streams::text[], :seqs::bigint[]) as u(stream, seq)
  join event p on p.market_id = :market_id and p.stream = u.stream and p.seq = u.seq - 1
  where p.xid < pg_snapshot_xmax(pg_current_snapshot())
  order by p.xid desc limit 1))
where e.market_id = :market_id and e.event_id = any(:event_ids::bigint[]);
