"""What a load test stands on: a PostgreSQL of its own, the real server in one or several processes, its figures."""

from __future__ import annotations

import asyncio
import os
import tempfile
from argparse import ArgumentParser, Namespace
from collections import defaultdict
from collections.abc import AsyncGenerator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec
import uvloop
from prometheus_client.parser import text_string_to_metric_families

from flexlive.lab.processes import Child, ChildOptions, free_port
from flexlive.lab.server_process import HOST, wait_ready
from flexlive.runtime import open_context
from flexlive.services import tokens
from flexlive.settings import Settings
from flexlive.storage import migrations
from flexlive.storage.embedded import EmbeddedOptions, EmbeddedPostgres
from flexlive.storage.pool import Pool, PoolOptions

READY_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 35.0
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class HouseOptions:
    """processes: of the server, on one port. nats_url: a NATS that runs; else several processes start theirs."""

    processes: int = 1
    nats_url: str | None = None
    database_url: str | None = None


@dataclass(slots=True)
class House:
    """pool: the test's own, for looking at what is committed."""

    options: HouseOptions
    dsn: str
    port: int
    directory: Path
    pool: Pool
    ops_token: str = field(repr=False)
    server: Child | None = None

    @property
    def base_url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def pids(self) -> list[int]:
        """The server and its children."""
        assert self.server is not None
        children = Path(f"/proc/{self.server.pid}/task/{self.server.pid}/children")
        return [self.server.pid, *map(int, children.read_text().split())]

    def cpu_seconds(self) -> float:
        """Spent by the server so far, all its processes."""
        return sum(_cpu_seconds(pid) for pid in self.pids)

    def rss_bytes(self) -> int:
        """Resident memory of the server, all its processes."""
        return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES for pid in self.pids)

    async def start(self) -> None:
        """A server process (or several) that answers."""
        arguments = ["-m", "flexlive", "serve", "--host", HOST, "--port", str(self.port)]
        if self.options.processes > 1:
            arguments += ["--processes", str(self.options.processes)]
        environment = {"FLEXLIVE_DATABASE_URL": self.dsn, "FLEXLIVE_LOG_LEVEL": "warning"}
        if self.options.nats_url is not None:
            environment["FLEXLIVE_NATS_URL"] = self.options.nats_url
        log = ChildOptions(name="the server", log=self.directory / "server.log", stop_seconds=STOP_SECONDS_MAX)
        self.server = await Child.start(arguments, log, environment)
        await wait_ready(self.server, self.base_url, READY_SECONDS_MAX)

    async def kill(self) -> None:
        """kill -9 of all of it, and gone when this returns."""
        assert self.server is not None
        self.server.kill()
        await self.server.wait(5)

    async def stop(self) -> None:
        if self.server is not None:
            await self.server.stop()

    async def figures(self) -> dict[str, float]:
        """The server's own counters and gauges, by name, summed over labels and processes."""
        async with httpx.AsyncClient(trust_env=False, timeout=10) as http:
            text = (await http.get(f"{self.base_url}/metrics")).text
        summed: defaultdict[str, float] = defaultdict(float)
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                summed[sample.name] += sample.value
                for value in sample.labels.values():
                    summed[f"{sample.name}:{value}"] += sample.value
        return dict(summed)

    @property
    def errors(self) -> list[str]:
        """Lines of level error, and tracebacks, in the server's log."""
        log = self.directory / "server.log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return [line[:300] for line in lines if "[error" in line or "Traceback" in line]


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND


@asynccontextmanager
async def open_house(options: HouseOptions) -> AsyncGenerator[House]:
    """Everything but the players; the server runs."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="flexlive-load-")))
        if options.database_url is None:
            dsn = (await stack.enter_async_context(EmbeddedPostgres(EmbeddedOptions()))).dsn
        else:
            dsn = options.database_url
        await migrations.migrate(dsn)
        settings = Settings(pool=PoolOptions(min_size=0, max_size=4))
        ctx = await stack.enter_async_context(open_context(settings, dsn))
        token = (await tokens.issue_ops_token(ctx, timedelta(hours=24))).token
        house = House(options, dsn, free_port(HOST), directory, ctx.pool, token)
        stack.push_async_callback(house.stop)
        await house.start()
        yield house


def add_house_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--processes", type=int, default=1, help="of the server; more than one means NATS between them")
    parser.add_argument("--nats-url", default=None, help="a NATS that runs, instead of one started by the server")
    parser.add_argument("--database-url", default=None, help="an empty database, instead of an embedded one")
    parser.add_argument("--json", default=None, metavar="FILE")


def house_options(given: Namespace) -> HouseOptions:
    return HouseOptions(processes=given.processes, nats_url=given.nats_url, database_url=given.database_url)


def run(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def tell(report: msgspec.Struct, ok: bool, json_path: str | None) -> int:
    """Prints a report, writes it where asked; the exit code of the command."""
    text = msgspec.json.format(msgspec.json.encode(report), indent=2).decode()
    print(text)
    if json_path:
        Path(json_path).write_text(text + "\n", encoding="utf-8")
    print("ok" if ok else "NOT OK")
    return 0 if ok else 1


def machine() -> dict[str, object]:
    """What figures were measured on."""
    return {"cores": os.cpu_count(), "load_1_minute": round(os.getloadavg()[0], 1)}
