"""The embedded PostgreSQL outlives crashes, never outlives us, and is nobody else's."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from flexlive.storage import embedded, embedded_process
from flexlive.storage.embedded import EmbeddedOptions, EmbeddedPostgres
from flexlive.storage.embedded_binaries import Binaries
from flexlive.storage.errors import DataDirectoryInUseError, EmbeddedPostgresError
from tests.integration.embedded_support import alive, child, eventually, execute, home_of, needs_proc, socket_dir


async def _busy(dsn: str, seconds: int) -> None:
    # Burns CPU without ever looking whether the postmaster lives: an orphan that holds the shared memory.
    body = f"declare ends timestamptz := clock_timestamp() + interval '{seconds} s'; begin"
    with contextlib.suppress(Exception):
        await execute(dsn, f"do $$ {body} while clock_timestamp() < ends loop end loop; end $$")


async def _write_until_killed(dsn: str, acknowledged: list[int]) -> None:
    connection = await asyncpg.connect(dsn, timeout=10)
    with contextlib.suppress(Exception):
        for number in range(100_000):
            await connection.execute("insert into row_kept values ($1)", number)
            acknowledged.append(number)


@needs_proc
async def test_acknowledged_rows_survive_a_killed_postmaster(data_dir: Path) -> None:
    async with EmbeddedPostgres(EmbeddedOptions(data_dir=data_dir)) as postgres:
        await execute(postgres.dsn, "create table row_kept (number integer primary key)", "select 1")
        acknowledged: list[int] = []
        work = [asyncio.create_task(_write_until_killed(postgres.dsn, acknowledged))]
        work.append(asyncio.create_task(_busy(postgres.dsn, 20)))
        while len(acknowledged) < 200:
            await asyncio.sleep(0.01)
        dsn, killed = postgres.dsn, postgres.pid
        await postgres.kill()
        assert not postgres.running
        await work[0]
        await postgres.start()
        assert (postgres.dsn, postgres.running) == (dsn, True)
        assert postgres.pid != killed
        found = await execute(dsn, "select array_agg(number) from row_kept")
        assert set(acknowledged) <= set(found)
        await asyncio.gather(*work)
        assert "pre-existing shared memory block" not in (data_dir / "log").read_text()
    assert not any(embedded_process.processes_in(data_dir / "pgdata"))


@needs_proc
async def test_start_retries_while_orphans_hold_the_memory(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with EmbeddedPostgres(EmbeddedOptions(data_dir=data_dir)) as postgres:
        busy = asyncio.create_task(_busy(postgres.dsn, 2))
        await asyncio.sleep(0.4)
        with monkeypatch.context() as patch:
            patch.setattr(embedded_process, "end_orphans", lambda _cluster: None)
            await postgres.kill()
            await postgres.start()
        assert await execute(postgres.dsn, "select 1") == 1
        assert "pre-existing shared memory block" in (data_dir / "log").read_text()
        await busy


@needs_proc
async def test_after_kill_9_of_the_parent_the_next_start_ends_what_still_runs(data_dir: Path) -> None:
    with child(data_dir) as (parent, ready):
        await execute(ready["dsn"], "create table row_kept as select 7 as number", "select 1")
        os.kill(ready["watchdog_pid"], signal.SIGKILL)
        parent.kill()
        parent.wait()
        await asyncio.sleep(0.3)
        assert alive(ready["pid"])
        async with EmbeddedPostgres(EmbeddedOptions(data_dir=data_dir)) as postgres:
            assert not alive(ready["pid"])
            assert postgres.dsn == ready["dsn"]
            assert await execute(postgres.dsn, "select number from row_kept") == 7
        assert "not properly shut down" not in (data_dir / "log").read_text()


@needs_proc
def test_after_kill_9_of_the_parent_the_watchdog_stops_it(data_dir: Path) -> None:
    with child(data_dir) as (parent, ready):
        parent.kill()
        assert eventually(lambda: not alive(ready["pid"]))
        assert not alive(ready["watchdog_pid"])
        assert "database system is shut down" in (data_dir / "log").read_text()
    again = EmbeddedPostgres(EmbeddedOptions(data_dir=data_dir))
    again.start_blocking()
    again.stop_blocking()
    assert not socket_dir(ready["dsn"]).exists()


@needs_proc
async def test_a_temporary_home_goes_with_stop_or_with_the_next_start() -> None:
    with child("-") as (parent, ready):
        home = home_of(ready["pid"])
        os.kill(ready["watchdog_pid"], signal.SIGKILL)
        parent.kill()
        parent.wait()
        async with EmbeddedPostgres(EmbeddedOptions()) as postgres:
            assert not alive(ready["pid"])
            assert not home.exists()
            assert not socket_dir(ready["dsn"]).exists()
            mine = home_of(postgres.pid)
            sockets = socket_dir(postgres.dsn)
    assert not mine.exists()
    assert not sockets.exists()


@needs_proc
def test_ctrl_c_leaves_nothing() -> None:
    with child("-") as (parent, ready):
        home = home_of(ready["pid"])
        assert os.getpgid(ready["pid"]) == ready["pid"]
        os.killpg(parent.pid, signal.SIGINT)
        parent.wait(timeout=20)
        assert not alive(ready["pid"])
        assert not alive(ready["watchdog_pid"])
        assert not home.exists()
        assert not socket_dir(ready["dsn"]).exists()


async def test_a_data_directory_has_one_process(data_dir: Path) -> None:
    options = EmbeddedOptions(data_dir=data_dir)
    async with EmbeddedPostgres(options) as postgres:
        with pytest.raises(DataDirectoryInUseError, match=rf"{data_dir} is in use by process {os.getpid()}"):
            await EmbeddedPostgres(options).start()
        assert await execute(postgres.dsn, "select 1") == 1
    with pytest.raises(EmbeddedPostgresError, match="not started"):
        _ = postgres.dsn


async def test_a_wrong_password_is_refused_and_nothing_listens_on_a_port(data_dir: Path) -> None:
    async with EmbeddedPostgres(EmbeddedOptions(data_dir=data_dir)) as postgres:
        password = urlsplit(postgres.dsn).password
        assert password is not None
        with pytest.raises(asyncpg.InvalidPasswordError):
            await execute(postgres.dsn.replace(password, "x" * len(password)), "select 1")
        assert await execute(postgres.dsn, "show listen_addresses") == ""
        assert await execute(postgres.dsn, "show fsync") == "on"
        assert (data_dir / "password").stat().st_mode & 0o777 == 0o600


async def test_a_cancelled_start_leaves_nothing(data_dir: Path) -> None:
    starting = asyncio.create_task(EmbeddedPostgres(EmbeddedOptions(data_dir=data_dir)).start())
    assert await asyncio.to_thread(eventually, (data_dir / "pgdata").exists)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not (data_dir / "pgdata" / "postmaster.pid").exists()
    async with EmbeddedPostgres(EmbeddedOptions(data_dir=data_dir)) as postgres:
        assert await execute(postgres.dsn, "select 1") == 1


def _slow_programs(folder: Path, real: Path, before: str) -> Binaries:
    folder.mkdir()
    script = folder / "postgres"
    script.write_text(f'#!/bin/sh\n{before}\nexec "{real}/postgres" "$@"\n')
    script.chmod(0o755)
    return Binaries(18, folder)


async def test_start_waits_as_long_as_recovery_makes_progress(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with EmbeddedPostgres(EmbeddedOptions(data_dir=data_dir)) as postgres:
        real = postgres.bin_dir
    options = EmbeddedOptions(data_dir=data_dir, start_timeout_seconds=0.7)
    progress = "for i in 1 2 3 4 5 6; do echo redo in progress; sleep 0.25; done"
    slow = _slow_programs(data_dir.parent / "slow", real, progress)
    monkeypatch.setattr(embedded, "find_binaries", lambda _version, _account: slow)
    began = time.monotonic()
    async with EmbeddedPostgres(options) as postgres:
        assert time.monotonic() - began > 2 * options.start_timeout_seconds
        assert await execute(postgres.dsn, "select 1") == 1
    stuck = _slow_programs(data_dir.parent / "stuck", real, "echo thinking; exec sleep 5")
    monkeypatch.setattr(embedded, "find_binaries", lambda _version, _account: stuck)
    with pytest.raises(EmbeddedPostgresError, match=r"no progress for 0.7 s(.|\n)*thinking"):
        await EmbeddedPostgres(options).start()
