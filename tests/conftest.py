"""Databases for tests: one cluster per run, one migrated template, one copy of it per test."""

from __future__ import annotations

import asyncio
import hashlib
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from flexlive.storage import migrations, queries
from flexlive.storage.embedded import EmbeddedOptions, EmbeddedPostgres
from flexlive.storage.pool import Pool, PoolOptions, close_pool, open_pool

# Commits of a test database need not survive a power cut; test_embedded.py has durable clusters of its own.
_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "100"}


def with_database(dsn: str, name: str) -> str:
    """The same server and user, another database."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


@contextmanager
def _cluster() -> Iterator[str]:
    external = os.environ.get("FLEXLIVE_TEST_DATABASE_URL")
    if external:
        yield external
        return
    embedded = EmbeddedPostgres(EmbeddedOptions(settings=_FAST))
    try:
        embedded.start_blocking()
        yield embedded.dsn
    finally:
        embedded.stop_blocking()


async def _admin(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        for statement in statements:
            await connection.execute(statement, timeout=30)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def postgres_dsn() -> Iterator[str]:
    """A superuser's dsn of a PostgreSQL that lives as long as this run."""
    with _cluster() as dsn:
        yield dsn


@pytest.fixture(scope="session")
def database_template(postgres_dsn: str) -> Iterator[str]:
    """Name of a migrated, empty database; nothing may stay connected to it."""
    digest = hashlib.sha256()
    for path in sorted((queries.sql_dir() / "migrations").iterdir()):
        digest.update(path.read_bytes())
    name = f"flexlive_template_{digest.hexdigest()[:12]}_{os.getpid()}"
    asyncio.run(_admin(postgres_dsn, f'create database "{name}"'))
    asyncio.run(migrations.migrate(with_database(postgres_dsn, name)))
    yield name
    asyncio.run(_admin(postgres_dsn, f'drop database "{name}" with (force)'))


@pytest.fixture
async def empty_database_url(postgres_dsn: str) -> AsyncIterator[str]:
    """A database without any table, for this test alone."""
    name = f"flexlive_test_{uuid.uuid4().hex}"
    await _admin(postgres_dsn, f'create database "{name}"')
    yield with_database(postgres_dsn, name)
    await _admin(postgres_dsn, f'drop database "{name}" with (force)')


# Without triggers the order of the tables does not matter. A copy costs PostgreSQL half a second, this a few
# milliseconds; and copies made ahead by a thread would hold back xmin, which the relay's tests are about.
_CLEAN = """
do $$ declare place record; begin
  set local session_replication_role = replica;
  for place in select tablename from pg_tables where schemaname = 'public' and tablename not like '\\_pogo%' loop
    execute format('delete from %I', place.tablename);
  end loop;
  for place in select sequencename from pg_sequences where schemaname = 'public' loop
    execute format('alter sequence %I restart', place.sequencename);
  end loop;
end $$
"""
_SHAPE = """
select md5(string_agg(c.oid::regclass || ' ' || a.attname || ' ' || a.atttypid, ',' order by c.relname, a.attname))
from pg_class c join pg_attribute a on a.attrelid = c.oid
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'i', 'v') and a.attnum > 0
"""


class _Stock:
    """Migrated databases that are used again once they are empty and as they were made."""

    def __init__(self, dsn: str, template: str) -> None:
        self._dsn, self._template = dsn, template
        self._free: list[str] = []
        self._shape: str | None = None

    async def take(self) -> str:
        """Name of a database nobody else has now."""
        if self._free:
            return self._free.pop()
        name = f"flexlive_test_{uuid.uuid4().hex}"
        await _admin(self._dsn, f'create database "{name}" template "{self._template}"')
        if self._shape is None:
            connection = await asyncpg.connect(with_database(self._dsn, name), timeout=10)
            self._shape = await connection.fetchval(_SHAPE)
            await connection.close()
        return name

    async def give_back(self, name: str) -> None:
        await _admin(self._dsn, f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'")
        connection = await asyncpg.connect(with_database(self._dsn, name), timeout=10)
        try:
            as_made = await connection.fetchval(_SHAPE) == self._shape
            if as_made:
                await connection.execute(_CLEAN, timeout=30)
        finally:
            await connection.close()
        if as_made:
            self._free.append(name)
        else:
            await _admin(self._dsn, f'drop database "{name}" with (force)')

    def close(self) -> None:
        for name in self._free:
            asyncio.run(_admin(self._dsn, f'drop database "{name}" with (force)'))


@pytest.fixture(scope="session")
def database_stock(postgres_dsn: str, database_template: str) -> Iterator[_Stock]:
    stock = _Stock(postgres_dsn, database_template)
    yield stock
    stock.close()


@pytest.fixture
async def database_url(postgres_dsn: str, database_stock: _Stock) -> AsyncIterator[str]:
    """A migrated, empty database for this test alone."""
    name = await database_stock.take()
    yield with_database(postgres_dsn, name)
    await database_stock.give_back(name)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """Sessions on this test's database, with the settings of production."""
    options = PoolOptions(min_size=1, max_size=10)
    opened = await open_pool(database_url, options)
    yield opened
    await close_pool(opened, options)
