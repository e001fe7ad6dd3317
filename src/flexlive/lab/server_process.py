"""The server under test: the real `flexlive serve` as a process of its own, which a play may kill and start again."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import httpx

from flexlive.lab.options import DemoError
from flexlive.lab.processes import Child, ChildDiedError, ChildOptions

READY_POLL_SECONDS = 0.05
KILLED_SECONDS_MAX = 5.0
RESTART_SECONDS = 0.5
HOST = "127.0.0.1"
_ERROR_LINE = re.compile(r"\[(?:error|critical)\s*\]")


class Running(Protocol):
    """A process that should be there."""

    def require_running(self) -> None:
        """Raises ChildDiedError when it has ended."""
        ...

    def log_tail(self) -> str: ...


class ServerProcess:
    """One server over all its lives, always on the same port and database. Only `kill` ends it without complaint.

    excused: whether an end of its own is no fault just now (it finds no database when it starts); it is then started
    again, as whoever looks after a server does.
    """

    def __init__(self, dsn: str, port: int, scale: float, log: Path) -> None:
        self._dsn, self._port, self._scale, self._log = dsn, port, scale, log
        self._child: Child | None = None
        self._wanted = asyncio.Event()
        self.starts = 0
        self.excused: Callable[[], bool] = lambda: False

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._port}"

    @property
    def pid(self) -> int | None:
        """Of the present life, or the last one; None before the first."""
        return None if self._child is None else self._child.pid

    async def start(self) -> None:
        """A new process; `wait_ready` tells when it answers."""
        self._child = await start_server(self._dsn, self._port, self._scale, self._log)
        self.starts += 1
        self._wanted.set()

    async def kill(self) -> None:
        """kill -9, and gone when this returns; until the next `start` nobody calls that a failure."""
        self._wanted.clear()
        if self._child is not None:
            self._child.kill()
            await self._child.wait(KILLED_SECONDS_MAX)

    async def stop(self) -> None:
        """Orderly; safe to call twice."""
        self._wanted.clear()
        if self._child is not None:
            await self._child.stop()

    def require_running(self) -> None:
        if self._wanted.is_set() and self._child is not None and not self.excused():
            self._child.require_running()

    def log_tail(self) -> str:
        return "" if self._child is None else self._child.log_tail()

    def errors(self) -> list[str]:
        """Lines of level error in its log, over all its lives."""
        try:
            lines = self._log.read_text(errors="replace").splitlines()
        except OSError:
            return []
        return [line for line in lines if _ERROR_LINE.search(line)]

    async def died(self) -> None:
        """Waits for an end that nobody asked for and nothing excuses. Raises ChildDiedError then."""
        while True:
            await self._wanted.wait()
            assert self._child is not None
            await self._child.process.wait()
            self.require_running()
            # Excused, or killed in this moment: then somebody else starts it.
            await asyncio.sleep(RESTART_SECONDS)
            if self._wanted.is_set() and not self._child.running:
                await self.start()


async def start_server(dsn: str, port: int, scale: float, log: Path) -> Child:
    """Starts it; `wait_ready` tells when it answers."""
    return await Child.start(
        ["-m", "flexlive", "serve", "--host", HOST, "--port", str(port)],
        ChildOptions(name="the server", log=log),
        env={"FLEXLIVE_DATABASE_URL": dsn, "FLEXLIVE_TIME_SCALE": repr(scale), "FLEXLIVE_LOG_LEVEL": "warning"},
    )


async def wait_ready(server: Running, base_url: str, seconds_max: float) -> None:
    """Until /readyz answers 200. Raises DemoError with the end of the server's log."""
    deadline = time.monotonic() + seconds_max
    answer = "no answer"
    async with httpx.AsyncClient(timeout=2.0, trust_env=False) as http:
        while time.monotonic() < deadline:
            try:
                server.require_running()
                response = await http.get(f"{base_url}/readyz")
                if response.is_success:
                    return
                answer = f"HTTP {response.status_code} {response.text[:300]}"
            except ChildDiedError as error:
                raise DemoError(str(error)) from None
            except httpx.TransportError:
                pass
            await asyncio.sleep(READY_POLL_SECONDS)
    raise DemoError(f"the server was not ready after {seconds_max:.0f} s: {answer}\n{server.log_tail()}")
