"""What a play stands on: database, server, a token to furnish it with. Built step by step, taken down in reverse."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uuid_utils.compat

from flexlive.domain.ids import DEPLOYMENT, TokenKind, format_token, token_sha256
from flexlive.lab.options import DemoError, DemoOptions
from flexlive.lab.processes import free_port, port_is_free
from flexlive.lab.server_process import HOST, ServerProcess
from flexlive.lab.view import View
from flexlive.storage import migrations
from flexlive.storage import tokens as token_rows
from flexlive.storage.embedded import EmbeddedOptions, EmbeddedPostgres
from flexlive.storage.pool import Pool, PoolOptions, close_pool, open_pool

OPS_TOKEN_HOURS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """directory: private to this run, gone afterwards. pool: the lab's own, for the audit.

    postgres: the embedded one, None when a database was given.
    """

    directory: Path
    dsn: str
    base_url: str
    server: ServerProcess
    postgres: EmbeddedPostgres | None
    pool: Pool
    ops_token: str = field(repr=False)


@asynccontextmanager
async def open_stage(options: DemoOptions, view: View) -> AsyncGenerator[Stage]:
    """Everything but the players. Raises DemoError, DatabaseSetupError."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="flexlive-demo-")))
        postgres = await _embedded(stack, view) if options.database_url is None else None
        dsn = postgres.dsn if postgres is not None else str(options.database_url)
        applied = await migrations.migrate(dsn)
        view.step(f"schema ready ({len(applied)} migrations applied)" if applied else "schema is current")
        port = choose_port(options.port)
        server = ServerProcess(dsn, port, options.speed, directory / "server.log")
        stack.push_async_callback(server.stop)
        await server.start()
        base_url = server.url
        view.step(f"server starting at {base_url}: API description {base_url}/schema")
        pool = await open_pool(dsn, PoolOptions(min_size=0, max_size=2))
        stack.push_async_callback(close_pool, pool)
        token = await _ops_token(pool)
        yield Stage(
            directory=directory,
            dsn=dsn,
            base_url=base_url,
            server=server,
            postgres=postgres,
            pool=pool,
            ops_token=token,
        )


def choose_port(wanted: int) -> int:
    """The wanted port; a free one for 0. Raises DemoError when it is taken."""
    if wanted == 0:
        return free_port(HOST)
    if port_is_free(wanted, HOST):
        return wanted
    if wanted == DemoOptions.port:
        return free_port(HOST)
    raise DemoError(f"port {wanted} is taken; choose another with --port, or 0 for any")


async def _embedded(stack: AsyncExitStack, view: View) -> EmbeddedPostgres:
    view.step("starting a PostgreSQL of its own")
    postgres = EmbeddedPostgres(EmbeddedOptions())
    await stack.enter_async_context(postgres)
    view.step("PostgreSQL is up")
    return postgres


async def _ops_token(pool: Pool) -> str:
    now = datetime.now(UTC)
    token = format_token(TokenKind.OPS, DEPLOYMENT, secrets.token_urlsafe(32))
    row = token_rows.NewToken(token_sha256(token), uuid_utils.compat.uuid7(), uuid_utils.compat.uuid7())
    expires_at = now + timedelta(hours=OPS_TOKEN_HOURS)
    await token_rows.insert(pool, DEPLOYMENT, "ops", [row], expires_at=expires_at, created_at=now)
    return token
