"""Sessions: jsonb as Python values, limits that hold on a silent network, a clear word about old servers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import asyncpg
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flexlive.storage.errors import DatabaseTooOldError
from flexlive.storage.pool import Pool, PoolOptions, close_pool, open_connection, open_pool, require_version

QUICK = PoolOptions(min_size=1, max_size=2, command_timeout_seconds=0.5, connect_timeout_seconds=0.5)

# jsonb stores no U+0000 and no lone surrogate; numbers come back as they went in while they fit a double.
_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
_scalar = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e15, 1e15, allow_subnormal=False) | _text
)
_json = st.recursive(_scalar, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4))


async def test_jsonb_is_python_values_both_ways(pool: Pool) -> None:
    @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(_json, max_size=30))
    def values(drawn: list[object]) -> None:
        samples.append(drawn)

    samples: list[list[object]] = []
    values()
    async with pool.acquire() as connection:
        for sample in samples:
            assert await connection.fetchval("select $1::jsonb", sample) == sample
        raw = msgspec.Raw(b'{"a": [1, 2.5, null]}')
        assert await connection.fetchval("select $1::jsonb", raw) == {"a": [1, 2.5, None]}
        assert await connection.fetchval("select $1::jsonb -> 'at'", {"at": datetime(2026, 3, 1, tzinfo=UTC)}) == (
            "2026-03-01T00:00:00Z"
        )
        row = await connection.fetchrow("select null::jsonb as nothing, 'null'::jsonb as json_null, now() as at")
        assert row is not None
        assert (row["nothing"], row["json_null"], row["at"].tzinfo) == (None, None, UTC)


async def test_sessions_carry_their_limits(database_url: str) -> None:
    options = PoolOptions(application_name="flexlive test", lock_timeout_seconds=1.5)
    async with open_connection(database_url, options) as connection:
        names = ("application_name", "timezone", "lock_timeout", "idle_in_transaction_session_timeout", "jit")
        found = [await connection.fetchval("select current_setting($1)", name) for name in names]
    assert found == ["flexlive test", "UTC", "1500ms", "10s", "off"]


async def test_a_lock_wait_and_an_idle_transaction_end(database_url: str) -> None:
    options = replace(
        QUICK, command_timeout_seconds=5, lock_timeout_seconds=0.2, idle_in_transaction_timeout_seconds=0.5
    )
    async with open_connection(database_url, options) as holder, open_connection(database_url, options) as waiter:
        await holder.execute("create table thing (id integer)")
        await holder.execute("begin; lock table thing")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await waiter.fetchval("select count(*) from thing")
        await asyncio.sleep(0.8)
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await holder.execute("select 1")
        assert await waiter.fetchval("select count(*) from thing") is not None


class Hole:
    """A relay in front of PostgreSQL that can fall silent, as a network does, without closing anything."""

    def __init__(self, socket_path: str) -> None:
        self._socket_path = socket_path
        self._tasks: set[asyncio.Task[None]] = set()
        self.silent = False

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_unix_connection(self._socket_path)
        for source, sink in ((reader, server_writer), (server_reader, writer)):
            self._tasks.add(asyncio.create_task(self._pump(source, sink)))

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                if not self.silent:
                    sink.write(data)
        sink.close()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def _hole(database_url: str) -> AsyncIterator[tuple[Hole, str]]:
    parts = urlsplit(database_url)
    folder = parse_qs(parts.query)["host"][0]
    hole = Hole(f"{folder}/.s.PGSQL.{parse_qs(parts.query).get('port', ['5432'])[0]}")
    server = await asyncio.start_server(hole.accept, "127.0.0.1", 0)
    query = urlencode({"host": "127.0.0.1", "port": server.sockets[0].getsockname()[1], "sslmode": "disable"})
    try:
        yield hole, urlunsplit(parts._replace(query=query))
    finally:
        server.close()
        await hole.close()


async def test_a_silent_network_costs_the_two_timeouts_and_no_more(database_url: str) -> None:
    if "host=%2F" not in database_url:
        pytest.skip("needs the embedded database's socket")
    async with _hole(database_url) as (hole, url):
        pool = await open_pool(url, QUICK)
        try:
            for statement in ("begin", "select 1"):
                hole.silent = False
                async with asyncio.timeout(5):
                    assert await pool.fetchval("select 1") == 1
                hole.silent = True
                began = time.monotonic()
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(8):
                        await pool.fetchval(statement)
                # Slack for a busy machine; without the limits this never returns.
                assert time.monotonic() - began < 1.0 + 2.0
            hole.silent = False
            assert await pool.fetchval("select 1") == 1
        finally:
            pool.terminate()


async def test_closing_cuts_off_what_is_still_borrowed(database_url: str) -> None:
    options = replace(QUICK, close_timeout_seconds=0.2)
    pool = await open_pool(database_url, options)
    async with pool.acquire() as connection:
        began = time.monotonic()
        await close_pool(pool, options)
        assert time.monotonic() - began < 2.0
        with pytest.raises(asyncpg.InterfaceError):
            await connection.execute("select 1")


@pytest.mark.parametrize(("number", "name"), [(149_999, "14"), (90_624, "9")])
def test_an_old_server_is_refused_by_name(number: int, name: str) -> None:
    with pytest.raises(DatabaseTooOldError, match=f"needs PostgreSQL 15 or later; this server is {name}"):
        require_version(number)
    require_version(150_000)


async def test_nobody_there_is_told_at_once() -> None:
    with pytest.raises(OSError):
        await open_pool("postgresql://flexlive@127.0.0.1:1/none", QUICK)
