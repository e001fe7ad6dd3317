"""Commands on a database that cannot be used say so in one line and end with 2."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flexlive.lab.processes import free_port
from tests.security.small_disk import small_disk

COMMANDS = {
    "migrate": ["migrate"],
    "seed": ["seed", "pilot-malls"],
    "token": ["token", "ops"],
}
SMALL_BYTES = 12 * 1024 * 1024
"""Too small for a new PostgreSQL cluster."""


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flexlive", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def check(ended: subprocess.CompletedProcess[str]) -> None:
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stderr.startswith("flexlive: ")
    assert len(ended.stderr.strip().splitlines()) == 1, ended.stderr


def run_all(commands: Sequence[Sequence[str]]) -> list[subprocess.CompletedProcess[str]]:
    """Side by side: most of each is Python starting."""
    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(lambda command: run(*command), commands))


def test_nobody_listens_there() -> None:
    address = f"postgresql://x@127.0.0.1:{free_port()}/x"
    for ended in run_all([[*command, "--database-url", address] for command in COMMANDS.values()]):
        check(ended)


def test_the_address_cannot_be_used(postgres_dsn: str) -> None:
    unreadable = "postgresql://user:[secret@h/x"
    missing, stranger = f"{postgres_dsn}_not_there", postgres_dsn.replace("://", "://nobody_", 1)
    addresses = (unreadable, missing, stranger)
    for ended in run_all([["token", "ops", "--database-url", address] for address in addresses]):
        check(ended)
        assert "secret" not in ended.stderr


@pytest.fixture
def full_disk() -> Iterator[Path]:
    with small_disk(SMALL_BYTES) as path:
        yield path


def test_the_disk_is_full(full_disk: Path) -> None:
    check(run("token", "ops", FLEXLIVE_DATA_DIR=str(full_disk / "data")))
