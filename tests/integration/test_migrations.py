"""Migrations add up to sql/schema.sql, once, whoever starts them; a database of a later version is left alone."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime

import asyncpg
import pytest

from flexlive.storage import migrations, queries
from flexlive.storage.errors import DatabaseNewerThanCodeError, DatabaseSetupError
from flexlive.storage.pool import Pool

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

_COLUMNS = """
select c.relname, c.relkind::text, c.reloptions::text, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod),
  a.attnotnull, a.attidentity::text, a.attgenerated::text, pg_get_expr(d.adbin, d.adrelid)
from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
where c.relnamespace = 'public'::regnamespace and c.relname not like '\\_pogo%' order by 1, 4
"""
_CONSTRAINTS = """
select conrelid::regclass::text, conname, contype::text, pg_get_constraintdef(oid) from pg_constraint
where connamespace = 'public'::regnamespace and conrelid::regclass::text not like '\\_pogo%' order by 1, 2
"""
_INDEXES = """
select tablename, indexname, indexdef from pg_indexes
where schemaname = 'public' and tablename not like '\\_pogo%' order by 1, 2
"""


async def _description(connection: asyncpg.Connection) -> dict[str, list[tuple[object, ...]]]:
    found = {}
    for name, query in (("columns", _COLUMNS), ("constraints", _CONSTRAINTS), ("indexes", _INDEXES)):
        found[name] = [tuple(row) for row in await connection.fetch(query)]
    return found


async def _tables(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        return [row[0] for row in await connection.fetch("select tablename from pg_tables where schemaname = 'public'")]
    finally:
        await connection.close()


async def test_migrations_make_exactly_the_schema_file(empty_database_url: str, database_url: str) -> None:
    by_file = await asyncpg.connect(empty_database_url)
    migrated = await asyncpg.connect(database_url)
    try:
        await by_file.execute((queries.sql_dir() / "schema.sql").read_text(encoding="utf-8"))
        expected, found = await _description(by_file), await _description(migrated)
    finally:
        await by_file.close()
        await migrated.close()
    assert len(expected["columns"]) > 200
    assert found == expected


async def test_two_starters_at_once_apply_each_migration_once(empty_database_url: str) -> None:
    assert await migrations.pending(empty_database_url) == migrations.known()
    results = await asyncio.gather(*(migrations.migrate(empty_database_url) for _ in range(4)))
    assert sorted(results, key=len) == [[], [], [], migrations.known()]
    assert await migrations.pending(empty_database_url) == []
    assert await migrations.migrate(empty_database_url) == []


async def test_a_database_of_a_later_version_is_refused(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "insert into _pogo_migration values ('x', '9999_from_the_future', now(), 'public')",
    )
    await connection.close()
    with pytest.raises(DatabaseNewerThanCodeError, match="9999_from_the_future"):
        await migrations.migrate(database_url)
    with pytest.raises(DatabaseNewerThanCodeError, match=migrations.known()[-1]):
        await migrations.pending(database_url)


async def test_a_migration_that_fails_leaves_nothing(empty_database_url: str) -> None:
    connection = await asyncpg.connect(empty_database_url)
    await connection.execute("create table token (mine integer)")
    await connection.close()
    with pytest.raises(DatabaseSetupError, match=r'0001_initial.*relation "token" already exists'):
        await migrations.migrate(empty_database_url)
    assert set(await _tables(empty_database_url)) == {"token", "_pogo_migration", "_pogo_version"}


async def test_rollback_of_the_first_migration_empties_the_database(database_url: str) -> None:
    from pogo_core.util import migrate as pogo

    connection = await asyncpg.connect(database_url)
    try:
        await pogo.rollback(connection, queries.sql_dir() / "migrations", schema_name="public")
    finally:
        await connection.close()
    assert set(await _tables(database_url)) == {"_pogo_migration", "_pogo_version"}


async def test_the_epoch_stays_until_the_database_is_another_one(pool: Pool) -> None:
    first, second, third = (uuid.UUID(int=number) for number in (1, 2, 3))
    async with pool.acquire() as connection:
        assert await migrations.ensure_deployment(connection, first, NOW) == first
        assert await migrations.ensure_deployment(connection, second, NOW) == first
        await connection.execute("update deployment set system_identifier = system_identifier + 1")
        assert await migrations.ensure_deployment(connection, second, NOW) == second
        await connection.execute("update deployment set database_oid = database_oid + 1")
        assert await migrations.ensure_deployment(connection, third, NOW) == third
        assert await migrations.ensure_deployment(connection, first, NOW) == third
