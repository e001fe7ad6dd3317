"""Bringing a database to this code's schema with pogo-migrate's core.

It has no lock of its own, so starters of one database take turns under an advisory lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from pogo_core.util import migrate as pogo

from flexlive.storage import queries
from flexlive.storage.errors import DatabaseNewerThanCodeError, DatabaseSetupError
from flexlive.storage.pool import Connection, PoolOptions, open_connection

LOCK_WAIT_SECONDS_MAX = 300.0
STATEMENT_TIMEOUT_SECONDS = 3600.0

# "flexlive" in ASCII: the key under which starters of one database take turns.
_ADVISORY_LOCK_KEY = int.from_bytes(b"flexlive", "big")
_SCHEMA = "public"
_OPTIONS = PoolOptions(
    application_name="flexlive migrate",
    command_timeout_seconds=STATEMENT_TIMEOUT_SECONDS,
    lock_timeout_seconds=LOCK_WAIT_SECONDS_MAX,
)
_LOCK_POLL_SECONDS = 0.1
# pogo announces each file as a warning; migrate() returns the names instead.
_quiet = logging.getLogger(f"{__name__}.pogo")
_quiet.setLevel(logging.ERROR)

_sql = queries.load("deployment")


def known() -> list[str]:
    """Migrations this code ships, oldest first."""
    return sorted(path.stem for path in (queries.sql_dir() / "migrations").glob("*.sql"))


async def migrate(dsn: str) -> list[str]:
    """Apply what is missing and return its names; [] when nothing was. Starters at once take turns.

    Raises DatabaseNewerThanCodeError when the database holds a migration this code does not know, DatabaseSetupError
    when one fails (the failed one is rolled back) or another starter holds the lock for LOCK_WAIT_SECONDS_MAX,
    DatabaseTooOldError below PostgreSQL 15, OSError or TimeoutError when unreachable.
    """
    async with open_connection(dsn, _OPTIONS) as connection, _exclusively(connection):
        applied = await _applied(connection)
        missing = _missing(applied)
        if missing:
            try:
                await pogo.apply(
                    cast("Any", connection), queries.sql_dir() / "migrations", schema_name=_SCHEMA, logger=_quiet
                )
            except Exception as error:
                raise DatabaseSetupError(f"{error}: {error.__cause__ or 'no cause given'}") from error
        return missing


async def pending(dsn: str) -> list[str]:
    """Names of migrations this database still lacks, oldest first. Changes nothing; raises as migrate() does."""
    async with open_connection(dsn, _OPTIONS) as connection:
        return _missing(await _applied(connection))


async def ensure_deployment(connection: Connection, new_epoch: UUID, now: datetime) -> UUID:
    """The epoch of this database: the stored one, or new_epoch when it is fresh or was restored somewhere else."""
    async with connection.transaction():
        return cast("UUID", await connection.fetchval(_sql.ensure.sql, new_epoch, now))


async def renew_epoch(connection: Connection, new_epoch: UUID, now: datetime) -> UUID:
    """Give the database another epoch, as ensure_deployment does by itself where it can tell a copy."""
    return cast("UUID", await connection.fetchval(_sql.renew_epoch.sql, new_epoch, now))


def _missing(applied: set[str]) -> list[str]:
    shipped = known()
    unknown = sorted(applied.difference(shipped))
    if unknown:
        raise DatabaseNewerThanCodeError(
            f"this database was migrated by a later flexlive (it has {', '.join(unknown)}; "
            f"this one knows up to {shipped[-1]}). Install that version or use another database."
        )
    return [name for name in shipped if name not in applied]


async def _applied(connection: Connection) -> set[str]:
    if not await connection.fetchval(_sql.has_migration_table.sql):
        return set()
    return {row["migration_id"] for row in await connection.fetch(_sql.applied_migrations.sql, _SCHEMA)}


@contextlib.asynccontextmanager
async def _exclusively(connection: Connection) -> AsyncGenerator[None]:
    # Polled, because a blocked pg_advisory_lock() holds a snapshot that would keep create index concurrently waiting.
    try:
        async with asyncio.timeout(LOCK_WAIT_SECONDS_MAX):
            while not await connection.fetchval("select pg_try_advisory_lock($1)", _ADVISORY_LOCK_KEY):  # noqa: ASYNC110
                await asyncio.sleep(_LOCK_POLL_SECONDS)
    except TimeoutError:
        raise DatabaseSetupError(
            f"another process has been migrating this database for more than {LOCK_WAIT_SECONDS_MAX:.0f} s"
        ) from None
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.execute("select pg_advisory_unlock($1)", _ADVISORY_LOCK_KEY)
