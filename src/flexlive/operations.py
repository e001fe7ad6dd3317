"""What the command line does to a database without serving: migrate, seed, issue tokens, audit, back up."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.runtime import open_context
from flexlive.services import seeds, tokens
from flexlive.services.context import Context
from flexlive.services.seeds import SeedReport
from flexlive.serving import database
from flexlive.settings import Settings
from flexlive.storage import audit as audit_checks
from flexlive.storage import drivers, embedded, libpq, migrations
from flexlive.storage.audit import AuditReport
from flexlive.storage.embedded import EmbeddedOptions
from flexlive.storage.errors import DatabaseSetupError


async def migrate(settings: Settings) -> list[str]:
    """Names of the migrations applied now."""
    async with database(settings, shared=True) as dsn:
        return await migrations.migrate(dsn)


async def seed_pilot_malls(settings: Settings, *, always_open: bool) -> SeedReport:
    """Idempotent; API keys are in the report only for merchants created now."""
    async with _migrated(settings) as ctx:
        return await seeds.pilot_malls(ctx, always_open=always_open)


async def ops_token(settings: Settings, ttl_hours: int) -> str:
    async with _migrated(settings) as ctx:
        return (await tokens.issue_ops_token(ctx, timedelta(hours=ttl_hours))).token


async def driver_token(settings: Settings, market_id: str, driver_id: UUID, ttl_hours: int) -> str:
    """Raises FlexliveError(not_found) for a driver the market does not have."""
    async with _migrated(settings) as ctx, ctx.pool.acquire() as conn:
        if not await drivers.snapshots(conn, market_id, [driver_id]):
            raise FlexliveError(ErrorCode.NOT_FOUND, f"no driver {driver_id} in market {market_id}")
        [issued] = await tokens.issue_driver_tokens(conn, ctx, market_id, [driver_id], timedelta(hours=ttl_hours))
        return issued.token


async def audit(settings: Settings) -> AuditReport:
    """Checks what must hold in any database of ours; changes nothing, not its schema either. DatabaseSetupError."""
    home = settings.data_dir / "postgres"
    if settings.database_url is None and not home.is_dir():
        raise DatabaseSetupError(f"there is no database in {home}: give --database-url")
    async with database(settings, shared=True) as dsn:
        return await audit_checks.audit_database(dsn)


async def run_program(settings: Settings, command: Sequence[str]) -> int:
    """Run one of PostgreSQL's programs against the database; its exit code. DatabaseSetupError when it is not there."""
    if not command:
        raise DatabaseSetupError("name a program, for example: flexlive database run -- psql")
    async with database(settings, shared=True) as dsn:
        environment = {**os.environ, **libpq.environment(dsn)}
        if settings.database_url is None:
            programs = embedded.program_dir(EmbeddedOptions(data_dir=settings.data_dir / "postgres"))
            environment["PATH"] = f"{programs}{os.pathsep}{environment.get('PATH', os.defpath)}"
        # Found in that PATH, not in ours.
        program = shutil.which(command[0], path=environment.get("PATH"))
        if program is None:
            raise DatabaseSetupError(f"there is no program {command[0]}; install PostgreSQL's client programs")
        process = await asyncio.create_subprocess_exec(program, *command[1:], env=environment)
        return await process.wait()


async def renew_epoch(settings: Settings) -> UUID:
    """The database's new epoch; customers' streams opened under the former one start anew."""
    async with _migrated(settings) as ctx, ctx.pool.acquire() as conn:
        return await migrations.renew_epoch(conn, ctx.new_id(), ctx.clock())


@asynccontextmanager
async def _migrated(settings: Settings) -> AsyncGenerator[Context]:
    async with database(settings, shared=True) as dsn:
        await migrations.migrate(dsn)
        async with open_context(settings, dsn) as ctx:
            yield ctx
