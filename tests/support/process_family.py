"""`flexlive serve --processes N` with everything that belongs to it, as a test may watch and hurt it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from flexlive.lab.process_tree import descendants, server_processes
from flexlive.lab.processes import Child, ChildOptions, free_port
from flexlive.lab.server_process import HOST, wait_ready

SECONDS_MAX = 150.0


class ProcessFamily:
    """url: http base of all processes."""

    def __init__(self, dsn: str, log: Path, processes: int, **environ: str) -> None:
        self._dsn, self._log, self._processes, self._environ = dsn, log, processes, environ
        self.port = free_port(HOST)
        self.url = f"http://{HOST}:{self.port}"
        self.socket_url = f"ws://{HOST}:{self.port}/v1/driver"
        self.parent: Child

    async def start(self) -> None:
        """Every process serves when this returns."""
        self.parent = await Child.start(
            ["-m", "flexlive", "serve", "--host", HOST, "--port", str(self.port), "--processes", str(self._processes)],
            ChildOptions(name="the servers", log=self._log, stop_seconds=40.0),
            env={"FLEXLIVE_DATABASE_URL": self._dsn, "FLEXLIVE_LOG_LEVEL": "info", **self._environ},
        )
        await wait_ready(self.parent, self.url, SECONDS_MAX)
        await until(lambda: self.log.count("serving_with_processes") == 1)

    def children(self) -> list[int]:
        """Pids of the server processes, oldest first."""
        return server_processes(self.parent.pid)

    def nats(self) -> int:
        """Pid of the NATS server."""
        [found] = [pid for pid, words in descendants(self.parent.pid) if words[0].endswith("nats-server")]
        return found

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.parent.pid, number)

    async def rolling_restart(self) -> None:
        """Ask for one and wait until it is done."""
        done = self.log.count("rolling_restart_done")
        self.signal(signal.SIGHUP)
        await until(lambda: self.log.count("rolling_restart_done") > done)

    async def readiness(self) -> list[dict[str, str]]:
        """What /readyz says, asked often enough to have met every process; each once."""
        met: dict[str, dict[str, str]] = {}
        async with asyncio.timeout(SECONDS_MAX):
            while len(met) < self._processes:
                # A new connection each time: the kernel chooses the process when one is made.
                async with httpx.AsyncClient(timeout=SECONDS_MAX, trust_env=False) as http:
                    answer = await http.get(f"{self.url}/readyz")
                said = answer.json()
                met[said["process"]] = {**said, "http_status": str(answer.status_code)}
        return list(met.values())

    async def buses(self, word: str) -> None:
        """Until every process says this of its bus, and 200 all the while."""
        async with asyncio.timeout(SECONDS_MAX):
            while True:
                said = await self.readiness()
                assert {each["http_status"] for each in said} == {"200"}, said
                if {each["bus"] for each in said} == {word}:
                    return
                await asyncio.sleep(0.1)

    async def figure(self, name: str) -> float:
        """A figure of /metrics, added up over its labels."""
        async with httpx.AsyncClient(timeout=SECONDS_MAX, trust_env=False) as http:
            text = (await http.get(f"{self.url}/metrics")).text
        return sum(float(value) for value in re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", text, re.MULTILINE))

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""


@asynccontextmanager
async def running_family(
    dsn: str, directory: Path, *, processes: int = 2, **environ: str
) -> AsyncIterator[ProcessFamily]:
    family = ProcessFamily(dsn, directory / "servers.log", processes, **environ)
    try:
        await family.start()
        yield family
    finally:
        await family.parent.stop()


async def until(condition: Callable[[], bool], seconds: float = SECONDS_MAX) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)
