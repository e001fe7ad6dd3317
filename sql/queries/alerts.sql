-- name: open_alert
-- No row when one of this kind about the same thing is open already.
insert into alert (market_id, alert_id, kind, subject_id, delivery_id, route_id, driver_id, detail, opened_at)
values (:market_id, :alert_id, :kind, :subject_id, :delivery_id, :route_id, :driver_id, :detail, :opened_at)
on conflict (market_id, kind, subject_id) where resolved_at is null do nothing
returning alert_id;

-- name: resolve_subject
update alert
set resolved_at = :resolved_at, resolved_by = :resolved_by, resolution = :resolution
where market_id = :market_id and kind = any(:kinds::text[]) and subject_id = :subject_id and resolved_at is null
returning alert_id;

-- name: resolve_alert
-- The first to resolve it stands.
update alert
set resolved_at = :resolved_at, resolved_by = :resolved_by, resolution = :resolution
where market_id = :market_id and alert_id = :alert_id and resolved_at is null
returning alert_id;

-- name: alert
select alert_id, kind, subject_id, delivery_id, route_id, driver_id, detail, opened_at, resolved_at, resolved_by,
       resolution
from alert
where market_id = :market_id and alert_id = :alert_id;

-- name: alerts
-- Newest first; alert ids rise with time, so the last one of a page is where the next begins.
select alert_id, kind, subject_id, delivery_id, route_id, driver_id, detail, opened_at, resolved_at, resolved_by,
       resolution
from alert
where market_id = :market_id
  and (not :open_only::bool or resolved_at is null)
  and (:kind::text is null or kind = :kind)
  and (:before::uuid is null or alert_id < :before)
order by alert_id desc
limit :rows_max;

-- name: settled_alerts
-- Open alerts whose reason has gone: the driver was heard of or the route ended, the delivery moved on.
select a.alert_id, a.kind, a.subject_id, coalesce(d.status, r.status) as status
from alert a
left join delivery d on d.market_id = a.market_id and d.delivery_id = coalesce(a.delivery_id, a.subject_id)
left join route r on r.market_id = a.market_id and r.route_id = a.subject_id
where a.market_id = :market_id and a.resolved_at is null
  and ((a.kind = 'driver_silent' and r.status <> 'active')
       or (a.kind = 'incident' and d.status <> 'undeliverable')
       or (a.kind = 'attempts_exhausted' and d.status = any(:ended::text[]))
       or (a.kind = 'no_driver' and d.status <> 'created'))
order by a.alert_id
limit :rows_max;
