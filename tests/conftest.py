"""Databases for tests: one cluster per run, one migrated template, one copy of it per test."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import queue
import threading
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


class _Stock:
    """Migrated databases made ahead by a thread: copying one takes PostgreSQL longer than most tests take."""

    def __init__(self, dsn: str, template: str) -> None:
        self._dsn, self._template = dsn, template
        self._ready: queue.Queue[str | Exception] = queue.Queue(maxsize=2)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._fill, name="database-stock", daemon=True)

    def take(self) -> str:
        """Name of a database nobody else gets."""
        if self._thread.ident is None:
            self._thread.start()
        made = self._ready.get(timeout=60)
        if isinstance(made, Exception):
            raise made
        return made

    def close(self) -> None:
        self._stopping.set()
        while self._thread.is_alive():
            with contextlib.suppress(queue.Empty):
                self._ready.get(timeout=0.1)

    def _fill(self) -> None:
        while not self._stopping.is_set():
            name = f"flexlive_test_{uuid.uuid4().hex}"
            try:
                asyncio.run(_admin(self._dsn, f'create database "{name}" template "{self._template}"'))
            except (OSError, asyncpg.PostgresError) as error:
                self._ready.put(error)
                return
            self._ready.put(name)


@pytest.fixture(scope="session")
def database_stock(postgres_dsn: str, database_template: str) -> Iterator[_Stock]:
    stock = _Stock(postgres_dsn, database_template)
    yield stock
    stock.close()


@pytest.fixture
async def database_url(postgres_dsn: str, database_stock: _Stock) -> AsyncIterator[str]:
    """A migrated database for this test alone."""
    name = await asyncio.to_thread(database_stock.take)
    yield with_database(postgres_dsn, name)
    await _admin(postgres_dsn, f'drop database "{name}" with (force)')


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """Sessions on this test's database, with the settings of production."""
    options = PoolOptions(min_size=1, max_size=10)
    opened = await open_pool(database_url, options)
    yield opened
    await close_pool(opened, options)
