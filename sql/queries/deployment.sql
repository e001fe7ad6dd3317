-- name: has_migration_table
-- A database nobody has migrated yet lacks even the list of migrations.
select to_regclass('public._pogo_migration') is not null;

-- name: applied_migrations
-- What has been done here, by whichever version of the code.
select migration_id from public._pogo_migration where schema_name = :schema_name;

-- name: ensure
-- The epoch survives restarts; a copy in another cluster or database is recognised by its identifiers and gets a new one.
insert into deployment as d (epoch, system_identifier, database_oid, created_at)
select :new_epoch::uuid, c.system_identifier, b.oid::bigint, :now::timestamptz
from cluster as c, pg_database as b
where b.datname = current_database()
on conflict (singleton) do update set
  epoch = case when d.system_identifier = excluded.system_identifier and d.database_oid = excluded.database_oid
    then d.epoch else excluded.epoch end,
  created_at = case when d.system_identifier = excluded.system_identifier and d.database_oid = excluded.database_oid
    then d.created_at else excluded.created_at end,
  system_identifier = excluded.system_identifier,
  database_oid = excluded.database_oid
returning epoch;

-- name: renew_epoch
-- For a copy that nothing in it tells from the original, such as a disk snapshot that was put back.
update deployment set epoch = :new_epoch, created_at = :now returning epoch;
