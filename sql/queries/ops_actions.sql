-- name: begin_action
-- Comes first in its transaction: a twin with the same Idempotency-Key waits here and then gets no row.
insert into ops_action (market_id, action_id, ops_id, action, subject_kind, subject_id, reason_code, note, created_at)
values (:market_id, :action_id, :ops_id, :action, :subject_kind, :subject_id, :reason_code, :note, :created_at)
on conflict (market_id, action_id) do nothing
returning action_id;

-- name: insert_action!
insert into ops_action (market_id, action_id, ops_id, action, subject_kind, subject_id, reason_code, note, detail,
                        created_at)
values (:market_id, :action_id, :ops_id, :action, :subject_kind, :subject_id, :reason_code, :note, :detail,
        :created_at);

-- name: finish_action!
update ops_action set detail = :detail where market_id = :market_id and action_id = :action_id;

-- name: action
select action_id, ops_id, action, subject_kind, subject_id, reason_code, note, detail, created_at
from ops_action
where market_id = :market_id and action_id = :action_id;

-- name: actions_about
select action_id, ops_id, action, subject_kind, subject_id, reason_code, note, detail, created_at
from ops_action
where market_id = :market_id and subject_id = any(:subject_ids::text[])
order by created_at, action_id
limit :rows_max;
