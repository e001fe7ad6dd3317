"""The postmaster as a process: starting it, knowing that a process is ours, and ending it and what it left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from flexlive.storage.embedded_cluster import PORT, Cluster
from flexlive.storage.errors import EmbeddedPostgresError

POLL_SECONDS = 0.02
# How long ended processes get to go before the next, ruder signal.
QUIT_TIMEOUT_SECONDS = 5.0

_PS_TIMEOUT_SECONDS = 10.0
# Waits for the end of our process, however it comes, then asks the postmaster it was started for to stop.
# The pid is compared with the pid file, so that a later postmaster is never meant.
_WATCHDOG = 'read -r _; read -r pid <"$2" && [ "$pid" = "$1" ] && kill -INT "$1"'


@dataclass(frozen=True, slots=True)
class PidFile:
    """What postmaster.pid says. status: `starting`, `ready`, `stopping`; empty while the file is being written."""

    pid: int
    status: str


def read_pid_file(cluster: Cluster) -> PidFile | None:
    """The pid file, or None when there is none or it is not readable as one."""
    try:
        lines = (cluster.pgdata / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
        return PidFile(int(lines[0]), lines[7].strip() if len(lines) > 7 else "")
    except (FileNotFoundError, IndexError, ValueError):
        return None


def launch(cluster: Cluster, postgres: str) -> subprocess.Popen[bytes]:
    """Start a postmaster; its words are appended to the cluster's log."""
    with cluster.log.open("ab") as log:
        cluster.log.chmod(0o600)
        return cluster.account.spawn([postgres, "-D", str(cluster.pgdata)], stdin=subprocess.DEVNULL, output=log)


def launch_watchdog(cluster: Cluster, postmaster_pid: int) -> subprocess.Popen[bytes]:
    """Start the process that stops this postmaster when we die without doing so. End it with stop_watchdog()."""
    arguments = ["/bin/sh", "-c", _WATCHDOG, "sh", str(postmaster_pid), str(cluster.pgdata / "postmaster.pid")]
    return cluster.account.spawn(arguments, stdin=subprocess.PIPE, output=subprocess.DEVNULL)


def stop_watchdog(watchdog: subprocess.Popen[bytes]) -> None:
    """End the watchdog without letting it act."""
    watchdog.kill()
    watchdog.wait()
    if watchdog.stdin is not None:
        watchdog.stdin.close()


def end_leftovers(cluster: Cluster, stop_timeout_seconds: float) -> None:
    """Stop whatever an earlier, killed supervisor left running here. The caller holds the home's lock.

    Raises EmbeddedPostgresError when a process of ours does not go.
    """
    found = read_pid_file(cluster)
    if found is not None and _is_postmaster_of(found.pid, cluster):
        _end(found.pid, lambda: not _is_postmaster_of(found.pid, cluster), stop_timeout_seconds)
    end_orphans(cluster)
    # The lock is ours and nobody lives here, so a pid file names nobody, or a stranger who got the same number.
    for name in (cluster.pgdata / "postmaster.pid", *_socket_files(cluster)):
        name.unlink(missing_ok=True)


def end_orphans(cluster: Cluster) -> None:
    """End backends whose postmaster was killed: they hold the shared memory that the next start needs.

    Known by working in the cluster's folder; where the system does not tell (no /proc), the start retries instead.
    """
    for rude in (signal.SIGQUIT, signal.SIGKILL):
        orphans = list(processes_in(cluster.pgdata))
        for pid in orphans:
            _signal(pid, rude)
        if not orphans or _wait(lambda: not any(processes_in(cluster.pgdata)), QUIT_TIMEOUT_SECONDS):
            return
    raise EmbeddedPostgresError(f"processes of a killed PostgreSQL still live in {cluster.pgdata}: {orphans}")


def kill_all(pids: Iterable[int]) -> None:
    """kill -9; whoever is gone already is no error."""
    for pid in pids:
        _signal(pid, signal.SIGKILL)


def end_child(process: subprocess.Popen[bytes], stop_timeout_seconds: float) -> None:
    """Stop our own postmaster: orderly, then immediately, then by force; reaps it."""
    if process.poll() is None:
        _end(process.pid, lambda: process.poll() is not None, stop_timeout_seconds)


def _end(pid: int, gone: Callable[[], bool], stop_timeout_seconds: float) -> None:
    # SIGINT is PostgreSQL's fast shutdown, SIGQUIT its immediate one: recovery at the next start, nothing lost.
    steps = (
        (signal.SIGINT, stop_timeout_seconds),
        (signal.SIGQUIT, QUIT_TIMEOUT_SECONDS),
        (signal.SIGKILL, QUIT_TIMEOUT_SECONDS),
    )
    for number, timeout_seconds in steps:
        _signal(pid, number)
        if _wait(gone, timeout_seconds):
            return
    raise EmbeddedPostgresError(f"PostgreSQL (process {pid}) does not end")


def _socket_files(cluster: Cluster) -> Iterator[Path]:
    yield cluster.socket_dir / f".s.PGSQL.{PORT}"
    yield cluster.socket_dir / f".s.PGSQL.{PORT}.lock"


def _is_postmaster_of(pid: int, cluster: Cluster) -> bool:
    arguments = _command_line(pid)
    return bool(arguments) and Path(arguments[0]).name == "postgres" and str(cluster.pgdata) in arguments[1:]


def _command_line(pid: int) -> list[str]:
    """Of a living process; [] when there is none. A zombie has none either."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").rstrip("\0").split("\0")
        except OSError:
            return []
    shown = subprocess.run(  # noqa: S603 - a fixed program and a number
        ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)],
        check=False,
        capture_output=True,
        timeout=_PS_TIMEOUT_SECONDS,
    )
    return shown.stdout.decode("utf-8", "replace").split()


def processes_in(pgdata: Path) -> Iterator[int]:
    """Every PostgreSQL process, postmaster or backend, that works in this folder; none where there is no /proc."""
    target = str(pgdata.resolve())
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str((entry / "cwd").readlink()) == target and (entry / "comm").read_text().strip() == "postgres":
                yield int(entry.name)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _wait(condition: Callable[[], bool], timeout_seconds: float) -> bool:
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
