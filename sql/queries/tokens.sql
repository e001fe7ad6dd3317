-- name: insert_tokens!
-- Secrets arrive as SHA-256 only. The same token twice is one token (a retried order derives the same link).
insert into token (market_id, token_sha256, kind, subject_id, family_id, expires_at, created_at)
select :market_id, x.token_sha256, :kind, x.subject_id, x.family_id, :expires_at, :created_at
from unnest(:token_sha256s::bytea[], :subject_ids::uuid[], :family_ids::uuid[])
  as x(token_sha256, subject_id, family_id)
on conflict (market_id, token_sha256) do nothing;

-- name: live_token
select subject_id, family_id, expires_at
from token
where market_id = :market_id and token_sha256 = :token_sha256 and kind = :kind
  and expires_at > :now and revoked_at is null and used_at is null;

-- name: spend_ticket
-- Single use: of two connections with one ticket, one gets the row.
update token
set used_at = :now
where market_id = :market_id and token_sha256 = :token_sha256 and kind = 'ticket'
  and expires_at > :now and revoked_at is null and used_at is null
returning subject_id, family_id;

-- name: revoke_token
update token
set revoked_at = :now
where market_id = :market_id and token_sha256 = :token_sha256 and revoked_at is null
returning subject_id;

-- name: revoke_family
update token
set revoked_at = :now
where market_id = :market_id and family_id = :family_id and revoked_at is null
returning token_sha256;

-- name: revoke_subject
-- Every live token of a kind that names this subject, such as all links to one delivery.
update token
set revoked_at = :now
where market_id = :market_id and kind = :kind and subject_id = :subject_id and revoked_at is null
returning token_sha256;

-- name: forget_tokens!
-- Bounded clean-up by the sweeper.
delete from token t
using (select token_sha256 from token
       where market_id = :market_id and expires_at < :expired_before limit :rows_max) old
where t.market_id = :market_id and t.token_sha256 = old.token_sha256;
