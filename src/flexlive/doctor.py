"""`flexlive doctor`: what would stop this installation from working, each with what to do about it."""

from __future__ import annotations

import importlib.metadata
import resource
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.table import Table

from flexlive.settings import Settings
from flexlive.storage import embedded, migrations, queries
from flexlive.storage.errors import DatabaseSetupError
from flexlive.storage.pool import open_pool

DESCRIPTORS_WANTED: Final = 20_000
_NOUNS_SHIPPED: Final = ("offers", "deliveries", "routes", "drivers", "events")


@dataclass(frozen=True, slots=True)
class Finding:
    ok: bool
    text: str
    hint: str = ""


async def run(settings: Settings, console: Console) -> int:
    """Print every check; the number of broken things."""
    table = Table(title="flexlive doctor", show_lines=False)
    table.add_column("check", no_wrap=True)
    table.add_column("")
    table.add_column("finding")
    broken = 0
    for name, check in _CHECKS.items():
        try:
            finding = await check(settings)
        except Exception as error:
            finding = Finding(False, f"{type(error).__name__}: {error}")
        broken += not finding.ok
        text = finding.text if finding.ok or not finding.hint else f"{finding.text}\n{finding.hint}"
        table.add_row(name, "[green]ok[/]" if finding.ok else "[red]broken[/]", text)
    console.print(table)
    return broken


async def _python(_: Settings) -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Finding(sys.version_info >= (3, 11), version, "flexlive needs Python 3.11 or newer")


async def _seam(_: Settings) -> Finding:
    found = {name: importlib.metadata.version(name) for name in ("uvicorn", "websockets")}
    wanted = {
        name: requirement.split("==")[1].split(";")[0].strip()
        for requirement in importlib.metadata.requires("flexlive") or ()
        for name in found
        if requirement.startswith(f"{name}==")
    }
    text = ", ".join(f"{name} {version}" for name, version in found.items())
    return Finding(found == wanted, text, f"the frame transport is built for {wanted}")


async def _sql(_: Settings) -> Finding:
    count = sum(len(queries.load(noun)) for noun in _NOUNS_SHIPPED)
    return Finding(True, f"{count} named queries of {len(_NOUNS_SHIPPED)} nouns")


async def _descriptors(_: Settings) -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    hint = f"one process can hold about {hard} sockets; raise the limit (ulimit -n) or run several"
    return Finding(hard >= DESCRIPTORS_WANTED or hard == resource.RLIM_INFINITY, f"{soft} soft, {hard} hard", hint)


async def _database(settings: Settings) -> Finding:
    if settings.database_url is None:
        options = embedded.EmbeddedOptions(data_dir=None)
        async with embedded.EmbeddedPostgres(options) as postgres:
            return await _usable(postgres.dsn, settings, "embedded")
    return await _usable(settings.database_url, settings, "FLEXLIVE_DATABASE_URL")


async def _usable(dsn: str, settings: Settings, source: str) -> Finding:
    try:
        pool = await open_pool(dsn, settings.pool)
    except (DatabaseSetupError, OSError) as error:
        return Finding(False, f"{source}: {error}", "check FLEXLIVE_DATABASE_URL, or leave it out for an embedded one")
    try:
        version = await pool.fetchval("show server_version")
        waiting = await migrations.pending(dsn)
        text = f"{source}: PostgreSQL {version}, {len(waiting)} migrations to apply"
        return Finding(source == "embedded" or not waiting, text, "run: flexlive migrate")
    finally:
        await pool.close()


_CHECKS: Final[dict[str, Callable[[Settings], Awaitable[Finding]]]] = {
    "python": _python,
    "server seam": _seam,
    "sql": _sql,
    "file descriptors": _descriptors,
    "database": _database,
}
