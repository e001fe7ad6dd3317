"""One real server process for all of these tests, with everybody on the stage."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from flexlive.lab.processes import Child, ChildOptions, free_port
from flexlive.lab.server_process import HOST, wait_ready
from tests.conftest import with_database
from tests.support.cast import Cast, cast

READY_SECONDS_MAX = 30.0


@dataclass
class Live:
    """A server process under attack. url: http base, without a trailing slash."""

    url: str
    pid: int
    database_url: str
    cast: Cast
    log: Path

    def rss_bytes(self) -> int:
        """What the process holds of the machine's memory; the test is skipped where there is no /proc."""
        statm = Path(f"/proc/{self.pid}/statm")
        if not statm.exists():
            pytest.skip("needs /proc to measure a process")
        return int(statm.read_text().split()[1]) * 4096

    def complaints(self) -> list[str]:
        """Lines of the log that say something went wrong inside, tracebacks above all."""
        text = self.log.read_text(errors="replace")
        return [line for line in text.splitlines() if "[error" in line or "Traceback" in line or "ERROR" in line]


@pytest.fixture(scope="session")
def live(postgres_dsn: str, database_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    name = f"flexlive_security_{uuid.uuid4().hex}"
    database_url = with_database(postgres_dsn, name)
    folder = tmp_path_factory.mktemp("server")
    with asyncio.Runner() as runner:
        runner.run(_administer(postgres_dsn, f'create database "{name}" template "{database_template}"'))
        everybody = runner.run(cast(database_url))
        child, running = runner.run(start_live(database_url, folder, everybody))
        try:
            yield running
        finally:
            runner.run(child.stop())
            runner.run(_administer(postgres_dsn, f'drop database "{name}" with (force)'))


async def start_live(database_url: str, folder: Path, everybody: Cast) -> tuple[Child, Live]:
    """A server process on a database with this cast; stop the child when done."""
    port = free_port(HOST)
    child = await Child.start(
        ["-m", "tests.support.unlimited_server"],
        ChildOptions(name="the server", log=folder / "server.log"),
        env={
            "FLEXLIVE_DATABASE_URL": database_url,
            "FLEXLIVE_DATA_DIR": str(folder),
            "FLEXLIVE_PORT": str(port),
            "FLEXLIVE_LOG_LEVEL": "warning",
        },
    )
    url = f"http://{HOST}:{port}"
    await wait_ready(child, url, READY_SECONDS_MAX)
    return child, Live(url, child.pid, database_url, everybody, child.options.log)


async def _administer(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        await connection.execute(statement, timeout=30)
    finally:
        await connection.close()
