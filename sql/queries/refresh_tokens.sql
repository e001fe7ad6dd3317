-- name: login_token
-- Whose login a driver's access or refresh token belongs to, whatever has become of it.
select subject_id as driver_id, family_id, kind
from token
where market_id = :market_id and token_sha256 = :token_sha256 and kind in ('driver', 'refresh');

-- name: refresh_token
-- Read after the driver's row is locked: refreshes of one driver happen one after another.
select t.expires_at, t.used_at, t.revoked_at, t.spent_by_sha256,
       exists (select from token s
               where s.market_id = t.market_id and s.family_id = t.family_id and s.kind = 'refresh'
                 and s.created_at >= t.used_at and s.token_sha256 <> t.token_sha256
                 and s.used_at is not null) as successor_used
from token t
where t.market_id = :market_id and t.token_sha256 = :token_sha256 and t.kind = 'refresh';

-- name: spend_refresh!
update token
set used_at = :now, spent_by_sha256 = :spent_by_sha256
where market_id = :market_id and token_sha256 = :token_sha256 and kind = 'refresh' and used_at is null;

-- name: revoke_successors!
-- What an earlier answer to the same attempt gave out and nobody got.
update token s
set revoked_at = :now
from token t
where t.market_id = :market_id and t.token_sha256 = :token_sha256 and t.kind = 'refresh'
  and s.market_id = t.market_id and s.family_id = t.family_id and s.kind in ('driver', 'refresh')
  and s.created_at >= t.used_at and s.token_sha256 <> t.token_sha256 and s.revoked_at is null;
