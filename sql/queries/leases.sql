-- name: acquire_lease
-- Taken when free, expired or our own; the term rises whenever the holder changes. Only the database's clock is asked.
insert into lease as l (market_id, name, holder, term, expires_at)
values (:market_id, :name, :holder, 1, clock_timestamp() + make_interval(secs => :duration_seconds))
on conflict (market_id, name) do update
set holder = excluded.holder,
    term = l.term + (l.holder <> excluded.holder)::int,
    -- Read again: the row's lock may have taken a while.
    expires_at = clock_timestamp() + make_interval(secs => :duration_seconds)
where l.holder = excluded.holder or l.expires_at <= clock_timestamp()
returning term, expires_at;

-- name: renew_lease
-- A lease that ran out but was not taken is still ours; one that was taken has another term.
update lease
set expires_at = clock_timestamp() + make_interval(secs => :duration_seconds)
where market_id = :market_id and name = :name and holder = :holder and term = :term
returning expires_at;

-- name: release_lease!
-- The row stays, so that the term never falls.
update lease
set expires_at = clock_timestamp()
where market_id = :market_id and name = :name and holder = :holder and term = :term;

-- name: hold_lease
-- The fence inside a transaction: while it lasts nobody else can take the lease, and a holder that lost it writes
-- nothing.
select term
from lease
where market_id = :market_id and name = :name and holder = :holder and term = :term
for share;
