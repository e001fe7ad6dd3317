"""Connections to PostgreSQL: how they are opened, what they may take, and the types the rest of the code sees.

asyncpg ships no complete type information, so `Pool`, `Connection` and `Record` are protocols of exactly what is used.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, cast

import asyncpg  # pyright: ignore[reportMissingTypeStubs]
import msgspec

from flexlive.storage.errors import DatabaseSetupError, DatabaseTooOldError

SERVER_VERSION_NUM_MIN = 150_000

_create_pool: Any = cast("Any", asyncpg.create_pool)  # pyright: ignore[reportUnknownMemberType]
_connect: Any = cast("Any", asyncpg.connect)  # pyright: ignore[reportUnknownMemberType]


class Record(Protocol):
    """A row: values by column name or by position."""

    def __getitem__(self, key: str | int, /) -> Any: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __len__(self) -> int: ...
    def get(self, key: str, default: Any = None, /) -> Any: ...
    def keys(self) -> Iterator[str]: ...
    def values(self) -> Iterator[Any]: ...
    def items(self) -> Iterator[tuple[str, Any]]: ...


class Executor(Protocol):
    """What runs statements: a connection, or a pool for a single statement of its own.

    `timeout` is in seconds and overrides the pool's command timeout. All raise asyncpg.PostgresError, OSError,
    asyncpg.InterfaceError or TimeoutError.
    """

    async def execute(self, query: str, /, *args: Any, timeout: float | None = None) -> str: ...
    async def executemany(
        self, command: str, args: Iterable[Sequence[Any]], /, *, timeout: float | None = None
    ) -> None: ...
    async def fetch(self, query: str, /, *args: Any, timeout: float | None = None) -> list[Record]: ...
    async def fetchrow(self, query: str, /, *args: Any, timeout: float | None = None) -> Record | None: ...
    async def fetchval(self, query: str, /, *args: Any, column: int = 0, timeout: float | None = None) -> Any: ...


class Connection(Executor, Protocol):
    """One session. A transaction is `async with connection.transaction():`."""

    def transaction(
        self, *, isolation: str | None = None, readonly: bool = False, deferrable: bool = False
    ) -> AbstractAsyncContextManager[Any]: ...
    def is_in_transaction(self) -> bool: ...
    def is_closed(self) -> bool: ...
    def terminate(self) -> None: ...


class Pool(Executor, Protocol):
    """Sessions to borrow: `async with pool.acquire() as connection:`."""

    def acquire(self, *, timeout: float | None = None) -> AbstractAsyncContextManager[Connection]: ...
    def get_size(self) -> int: ...
    def get_idle_size(self) -> int: ...
    def get_max_size(self) -> int: ...
    async def close(self) -> None: ...
    def terminate(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOptions:
    """Limits of a pool. lock_timeout_seconds ends a wait for a row lock; 0 switches any of the three off in PostgreSQL.

    statement_cache_statements_max must be 0 behind a transaction pooler.
    """

    min_size: int = 8
    max_size: int = 8
    connect_timeout_seconds: float = 5.0
    command_timeout_seconds: float = 10.0
    lock_timeout_seconds: float = 8.0
    idle_in_transaction_timeout_seconds: float = 10.0
    close_timeout_seconds: float = 5.0
    statement_cache_statements_max: int = 512
    application_name: str = "flexlive"


_encode_json = msgspec.json.Encoder().encode
_decode_json = msgspec.json.Decoder().decode
_JSONB_VERSION = b"\x01"


def _encode_jsonb(value: object) -> bytes:
    return _JSONB_VERSION + _encode_json(value)


def _decode_jsonb(data: bytes) -> object:
    return _decode_json(data[1:])


async def _prepare(connection: Any) -> None:
    await connection.set_type_codec(
        "jsonb", encoder=_encode_jsonb, decoder=_decode_jsonb, schema="pg_catalog", format="binary"
    )


async def _nothing_to_reset(_: Any) -> None:
    """No statement of ours changes a session (only `set local`), so giving one back costs no round trip.

    asyncpg still rolls an open transaction back by itself.
    """


def _connect_arguments(options: PoolOptions) -> dict[str, Any]:
    settings = {
        "application_name": options.application_name,
        "timezone": "UTC",
        # Compiling costs more than any of our short statements takes.
        "jit": "off",
        "lock_timeout": f"{round(options.lock_timeout_seconds * 1000)}ms",
        "idle_in_transaction_session_timeout": f"{round(options.idle_in_transaction_timeout_seconds * 1000)}ms",
    }
    return {
        "timeout": options.connect_timeout_seconds,
        "command_timeout": options.command_timeout_seconds,
        "statement_cache_size": options.statement_cache_statements_max,
        "max_cached_statement_lifetime": 0,
        "server_settings": settings,
    }


async def open_pool(dsn: str, options: PoolOptions | None = None) -> Pool:
    """Open min_size sessions. A statement on a silent network fails after command_timeout + connect_timeout.

    jsonb is Python values both ways (msgspec; a msgspec.Raw goes in as it is).
    Raises DatabaseTooOldError below PostgreSQL 15, OSError or TimeoutError when unreachable.
    """
    options = options or PoolOptions()
    with _address_read():
        pool = await _create_pool(
            dsn,
            min_size=options.min_size,
            max_size=options.max_size,
            init=_prepare,
            reset=_nothing_to_reset,
            **_connect_arguments(options),
        )
    try:
        require_version(int(await pool.fetchval("show server_version_num")))
    except BaseException:
        pool.terminate()
        raise
    return cast("Pool", pool)


async def close_pool(pool: Pool, options: PoolOptions | None = None) -> None:
    """Wait close_timeout_seconds for borrowed sessions to come back, then cut off what is left."""
    options = options or PoolOptions()
    try:
        async with asyncio.timeout(options.close_timeout_seconds):
            await pool.close()
    except TimeoutError:
        pool.terminate()


@asynccontextmanager
async def open_connection(dsn: str, options: PoolOptions | None = None) -> AsyncGenerator[Connection]:
    """One session outside any pool, for as long as the block: what open_pool() says holds for it too."""
    options = options or PoolOptions()
    with _address_read():
        connection = await _connect(dsn, **_connect_arguments(options))
    try:
        await _prepare(connection)
        require_version(int(await connection.fetchval("show server_version_num")))
        yield cast("Connection", connection)
    finally:
        try:
            await connection.close(timeout=options.close_timeout_seconds)
        except TimeoutError:
            connection.terminate()


@contextmanager
def _address_read() -> Generator[None]:
    try:
        yield
    except ValueError:
        # asyncpg's text would repeat the address, which may hold a password.
        raise DatabaseSetupError(
            "the database's address cannot be read; it looks like postgresql://user:password@host:5432/name"
        ) from None


def require_version(server_version_num: int) -> None:
    """Raise DatabaseTooOldError unless the server is PostgreSQL 15 or later."""
    if server_version_num < SERVER_VERSION_NUM_MIN:
        raise DatabaseTooOldError(
            f"flexlive needs PostgreSQL 15 or later; this server is {server_version_num // 10_000}. "
            "Point FLEXLIVE_DATABASE_URL at a newer one, or leave it unset to run the embedded database."
        )
