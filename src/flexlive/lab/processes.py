"""Child processes that never outlive the demo: own process group, asked to stop, then made to."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import platform
import signal
import socket
import sys
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from flexlive.lab.options import DemoError

KILL_WAIT_SECONDS_MAX = 5.0
_PR_SET_PDEATHSIG = 1
# Loaded here: between fork and exec nothing may be imported.
_LIBC = ctypes.CDLL(None) if platform.system() == "Linux" else None
T = TypeVar("T")
LOG_TAIL_BYTES = 4000


class ChildDiedError(DemoError):
    """A child ended although it should be running; the text carries the tail of its log."""


@dataclass(frozen=True, slots=True)
class ChildOptions:
    """log: file for stderr (and stdout, unless piped). stop_seconds: how long SIGTERM may take."""

    name: str
    log: Path
    piped: bool = False
    stop_seconds: float = 12.0
    line_bytes_max: int = 64 * 1024


class Child:
    """One `python -m …` in a process group of its own, so that Ctrl-C in a terminal reaches only the demo."""

    def __init__(self, process: asyncio.subprocess.Process, options: ChildOptions) -> None:
        self.process = process
        self.options = options

    @classmethod
    async def start(
        cls, arguments: Sequence[str], options: ChildOptions, env: Mapping[str, str] | None = None
    ) -> Child:
        """Runs this interpreter with the arguments; env is laid over the present environment. Raises DemoError."""
        pipe = asyncio.subprocess.PIPE if options.piped else None
        try:
            with options.log.open("ab") as log:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    *arguments,
                    stdin=pipe or asyncio.subprocess.DEVNULL,
                    stdout=pipe or log,
                    stderr=log,
                    env={**os.environ, **(env or {})},
                    start_new_session=True,
                    preexec_fn=_die_with_parent,
                    limit=options.line_bytes_max,
                )
        except OSError as error:
            raise DemoError(f"cannot start {options.name}: {error}") from error
        return cls(process, options)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.returncode is None

    def require_running(self) -> None:
        """Raises ChildDiedError when it has ended."""
        if not self.running:
            raise ChildDiedError(f"{self.options.name} ended with code {self.process.returncode}\n{self.log_tail()}")

    async def died(self) -> None:
        """Waits for its end. Raises ChildDiedError then."""
        await self.process.wait()
        self.require_running()

    def log_tail(self) -> str:
        """The end of what it wrote to its log."""
        try:
            return self.options.log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
        except OSError:
            return ""

    async def wait(self, seconds_max: float) -> int | None:
        """The exit code, or None when it is still running after so long."""
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(self.process.wait(), seconds_max)
        return None

    async def stop(self) -> int:
        """SIGTERM, then SIGKILL to the whole group after stop_seconds. Returns the exit code; safe to call twice."""
        if self.running:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.process.wait(), self.options.stop_seconds)
        # Even after a clean end: a grandchild must not stay behind.
        self._signal(signal.SIGKILL)
        return await asyncio.wait_for(self.process.wait(), KILL_WAIT_SECONDS_MAX)

    def kill(self) -> None:
        """SIGKILL to the group, at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)


class Mortal(Protocol):
    """Something work depends on."""

    async def died(self) -> None:
        """Waits until it has ended although it should not have. Raises ChildDiedError then."""
        ...


async def beside(needed: Mortal, work: Coroutine[Any, Any, T]) -> T:
    """The work's result, unless what it needs ends before: then ChildDiedError, at once."""
    working = asyncio.create_task(work)
    ended = asyncio.create_task(needed.died())
    try:
        await asyncio.wait({working, ended}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            await ended
        return await working
    finally:
        working.cancel()
        ended.cancel()
        await asyncio.gather(working, ended, return_exceptions=True)


def _die_with_parent() -> None:
    """In the child, before it runs: SIGTERM should the demo be killed without a chance to stop it (Linux)."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
