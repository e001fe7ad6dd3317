"""A PostgreSQL of our own for the demo, the tests and small deployments: no root, no container, nothing installed.

The supervisor starts the wheel's programs as an account without rights, waits for crash recovery however long it takes,
and ends them with us. When we are killed, a watchdog asks PostgreSQL to stop; whatever is left then is ended by the
next start in the same data directory.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from flexlive.storage import embedded_process as process
from flexlive.storage.embedded_account import choose_account
from flexlive.storage.embedded_binaries import Binaries, find_binaries
from flexlive.storage.embedded_cluster import Cluster, initialise, lock_home, open_cluster, open_home
from flexlive.storage.embedded_temporary import make_temporary_home, remove_home
from flexlive.storage.errors import EmbeddedPostgresError

_RETRY_SECONDS = 0.25
_LOG_TAIL_BYTES = 4000
# What a postmaster says while processes of a killed predecessor still hold its shared memory or lock file.
_TRANSIENT = ("pre-existing shared memory block", "lock file")


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedOptions:
    """How to run it.

    data_dir: kept between runs; None makes a temporary one that stop() removes (or, after a kill, the next start).
    start_timeout_seconds: longest time without progress; a growing log of crash recovery counts as progress.
    stop_timeout_seconds: for the orderly stop, before an immediate one.
    settings: postgresql.conf entries over the defaults. unprivileged_user: who runs PostgreSQL when we are root.
    """

    data_dir: Path | None = None
    version: int = 18
    start_timeout_seconds: float = 60.0
    stop_timeout_seconds: float = 30.0
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    unprivileged_user: str = "nobody"


def running_dsn(options: EmbeddedOptions) -> str:
    """The dsn of the database another live process runs in options.data_dir. Raises EmbeddedPostgresError."""
    if options.data_dir is None:
        raise EmbeddedPostgresError("a temporary database is its owner's alone")
    try:
        return open_cluster(options.data_dir.resolve(), choose_account(options.unprivileged_user)).dsn()
    except OSError as error:
        raise EmbeddedPostgresError(f"cannot use the database of {options.data_dir}: {error}") from error


def program_dir(options: EmbeddedOptions) -> Path:
    """psql, pg_dump and the other programs of its version. Raises EmbeddedPostgresError."""
    return find_binaries(options.version, choose_account(options.unprivileged_user)).bin_dir


class EmbeddedPostgres:
    """`async with EmbeddedPostgres(options) as postgres: … postgres.dsn`.

    Bound to no event loop: start() and stop() may run in different ones, or use start_blocking() and stop_blocking().
    Started again after its postmaster was killed, it recovers under the same dsn. All raise EmbeddedPostgresError;
    DataDirectoryInUseError when another live process runs this data directory.
    """

    def __init__(self, options: EmbeddedOptions) -> None:
        self._options = options
        self._busy = threading.Lock()
        self._home: Path | None = None
        self._lock_descriptor: int | None = None
        self._cluster: Cluster | None = None
        self._binaries: Binaries | None = None
        self._postmaster: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        """Superuser's dsn over a Unix socket, for processes of this user; the same for as long as data_dir lives."""
        return self._opened().dsn()

    @property
    def pid(self) -> int:
        """Of the postmaster, running or dead."""
        if self._postmaster is None:
            raise EmbeddedPostgresError("the embedded PostgreSQL is not started")
        return self._postmaster.pid

    @property
    def watchdog_pid(self) -> int:
        """Of the process that stops PostgreSQL should we be killed."""
        if self._watchdog is None:
            raise EmbeddedPostgresError("the embedded PostgreSQL is not started")
        return self._watchdog.pid

    @property
    def running(self) -> bool:
        return self._postmaster is not None and self._postmaster.poll() is None

    @property
    def bin_dir(self) -> Path:
        """psql, pg_dump and the other programs of the same version."""
        self._opened()
        if self._binaries is None:
            raise EmbeddedPostgresError("the embedded PostgreSQL is not started")
        return self._binaries.bin_dir

    async def start(self) -> None:
        """Start, or start again after a crash; nothing to do while running. Cancelled: stops what it began."""
        unwanted = threading.Event()
        try:
            await _in_thread(lambda: self.start_blocking(unwanted), unwanted)
        except asyncio.CancelledError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Orderly stop, then immediate, then by force. Nothing to do when not started."""
        await _in_thread(self.stop_blocking, threading.Event())

    async def kill(self) -> None:
        """Crash it, to rehearse recovery: kill -9 of the postmaster. start() brings it back, under the same dsn."""
        await _in_thread(self._kill, threading.Event())

    async def crash(self) -> None:
        """kill(), and all its other processes at the same moment, as a machine without power would lose them."""
        await _in_thread(self._crash, threading.Event())

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def start_blocking(self, unwanted: threading.Event | None = None) -> None:
        """start() without an event loop; setting unwanted from another thread ends the wait."""
        with self._busy:
            if self.running:
                return
            first = self._cluster is None
            try:
                cluster, binaries = self._prepare()
                self._run(cluster, binaries, unwanted or threading.Event())
            except BaseException as error:
                # A restart that fails keeps the home, and with it a temporary one's data, until stop().
                self._end_processes()
                if first:
                    self._close_home()
                if isinstance(error, OSError | subprocess.SubprocessError):
                    raise EmbeddedPostgresError(f"cannot run PostgreSQL: {error}") from error
                raise

    def stop_blocking(self) -> None:
        """stop() without an event loop."""
        with self._busy:
            self._end_processes()
            self._close_home()

    def _kill(self) -> None:
        with self._busy:
            if self._postmaster is not None:
                self._postmaster.kill()
                # Reaped here: a start() right after must not take the dying process for a running one.
                self._postmaster.wait()

    def _crash(self) -> None:
        others = list(process.processes_in(self._opened().pgdata))
        self._kill()
        process.kill_all(others)

    def _end_processes(self) -> None:
        # The watchdog goes last: should we be killed in here, it still acts.
        if self._postmaster is not None:
            process.end_child(self._postmaster, self._options.stop_timeout_seconds)
        if self._watchdog is not None:
            process.stop_watchdog(self._watchdog)
            self._watchdog = None
        if self._cluster is not None:
            process.end_orphans(self._cluster)

    def _close_home(self) -> None:
        if self._cluster is not None:
            self._cluster.remove_sockets()
        if self._home is not None and self._options.data_dir is None:
            remove_home(self._home)
        if self._lock_descriptor is not None:
            os.close(self._lock_descriptor)
        self._postmaster = self._cluster = self._home = self._lock_descriptor = None

    def _opened(self) -> Cluster:
        if self._cluster is None:
            raise EmbeddedPostgresError("the embedded PostgreSQL is not started")
        return self._cluster

    def _prepare(self) -> tuple[Cluster, Binaries]:
        options = self._options
        if self._cluster is None or self._binaries is None:
            account = choose_account(options.unprivileged_user)
            self._binaries = find_binaries(options.version, account)
            if options.data_dir is None:
                self._home, self._lock_descriptor = make_temporary_home(account)
            else:
                self._home = options.data_dir.resolve()
                open_home(self._home, account)
                self._lock_descriptor = lock_home(self._home)
            self._cluster = open_cluster(self._home, account)
        process.end_leftovers(self._cluster, options.stop_timeout_seconds)
        initialise(self._cluster, self._binaries, options.settings)
        return self._cluster, self._binaries

    def _run(self, cluster: Cluster, binaries: Binaries, unwanted: threading.Event) -> None:
        deadline = time.monotonic() + self._options.start_timeout_seconds
        while True:
            log_start = cluster.log.stat().st_size if cluster.log.exists() else 0
            self._launch(cluster, binaries)
            if self._wait_until_ready(cluster, unwanted):
                return
            said = _log_since(cluster, log_start)
            if not any(text in said for text in _TRANSIENT) or time.monotonic() > deadline:
                raise EmbeddedPostgresError(f"PostgreSQL does not start in {cluster.home}:\n{said}")
            process.end_orphans(cluster)
            time.sleep(_RETRY_SECONDS)

    def _launch(self, cluster: Cluster, binaries: Binaries) -> None:
        if self._watchdog is not None:
            process.stop_watchdog(self._watchdog)
        self._postmaster = process.launch(cluster, binaries.program("postgres"))
        self._watchdog = process.launch_watchdog(cluster, self._postmaster.pid)

    def _wait_until_ready(self, cluster: Cluster, unwanted: threading.Event) -> bool:
        """False when the postmaster ended. Raises when it stalls or when we are no longer wanted."""
        postmaster = self._postmaster
        assert postmaster is not None
        log_bytes, progressed_at = -1, time.monotonic()
        while postmaster.poll() is None:
            found = process.read_pid_file(cluster)
            if found is not None and found.pid == postmaster.pid and found.status == "ready":
                return True
            if unwanted.is_set():
                raise EmbeddedPostgresError("starting PostgreSQL was cancelled")
            if cluster.log.stat().st_size != log_bytes:
                log_bytes, progressed_at = cluster.log.stat().st_size, time.monotonic()
            elif time.monotonic() - progressed_at > self._options.start_timeout_seconds:
                raise EmbeddedPostgresError(
                    f"PostgreSQL in {cluster.home} made no progress for {self._options.start_timeout_seconds:g} s:\n"
                    + _log_since(cluster, max(0, log_bytes - _LOG_TAIL_BYTES))
                )
            time.sleep(process.POLL_SECONDS)
        return False


async def _in_thread(work: Callable[[], None], unwanted: threading.Event) -> None:
    # A thread cannot be cancelled; leaving it behind would leave PostgreSQL behind.
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        unwanted.set()
        await asyncio.wait([running])
        if not running.cancelled():
            running.exception()
        raise


def _log_since(cluster: Cluster, position: int) -> str:
    with cluster.log.open("rb") as log:
        log.seek(position)
        return log.read()[-_LOG_TAIL_BYTES:].decode("utf-8", "replace").strip()
