"""`flexlive serve` as a process of its own that a test may kill and start again on the same port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from flexlive.lab.processes import Child, free_port
from flexlive.lab.server_process import HOST, start_server, wait_ready

READY_SECONDS_MAX = 30.0


class ServerProcess:
    """url: http base; stays the same over restarts."""

    def __init__(self, dsn: str, log: Path, time_scale: float) -> None:
        self._dsn, self._log, self._time_scale = dsn, log, time_scale
        self.port = free_port(HOST)
        self.url = f"http://{HOST}:{self.port}"
        self.socket_url = f"ws://{HOST}:{self.port}/v1/driver"
        self.child: Child | None = None

    async def start(self) -> None:
        self.child = await start_server(self._dsn, self.port, self._time_scale, self._log)
        await wait_ready(self.child, self.url, READY_SECONDS_MAX)

    async def kill(self) -> None:
        """kill -9, and gone when this returns."""
        assert self.child is not None
        self.child.kill()
        await self.child.wait(5)

    async def stop(self) -> int:
        assert self.child is not None
        return await self.child.stop()

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""


@asynccontextmanager
async def running_server(dsn: str, directory: Path, *, time_scale: float = 1.0) -> AsyncIterator[ServerProcess]:
    server = ServerProcess(dsn, directory / "server.log", time_scale)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
