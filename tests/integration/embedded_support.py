"""What the tests of the embedded PostgreSQL share: a program that runs one, and looks at its processes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

CHILD = Path(__file__).with_name("embedded_child.py")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
needs_proc = pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="looks for processes in /proc")


@contextlib.contextmanager
def child(data_dir: Path | str, **popen: Any) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    command = popen.pop("command", [sys.executable])
    process = subprocess.Popen(
        [*command, str(CHILD), str(data_dir)], stdout=subprocess.PIPE, text=True, start_new_session=True, **popen
    )
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
        process.stdout.close()


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    return False


def home_of(postmaster_pid: int) -> Path:
    """The data directory, as seen from the process."""
    return Path(f"/proc/{postmaster_pid}/cwd").readlink().parent


def eventually(condition: Callable[[], bool], timeout_seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + timeout_seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def socket_dir(dsn: str) -> Path:
    return Path(parse_qs(urlsplit(dsn).query)["host"][0])


async def execute(dsn: str, *statements: str) -> Any:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        for statement in statements[:-1]:
            await connection.execute(statement)
        return await connection.fetchval(statements[-1])
    finally:
        await connection.close()
