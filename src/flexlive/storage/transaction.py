"""One transaction whose end is never guessed: committed, not committed, or nobody knows."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Final, Protocol, cast

from flexlive.storage.failures import unreachable
from flexlive.storage.pool import Connection, Pool

ACQUIRE_SECONDS_MAX: Final = 5.0
"""How long a use case waits for a free session before it says that the database is not available."""


class OutcomeUnknownError(Exception):
    """The connection was lost at COMMIT: it may or may not have happened; asking again by the same key tells."""


class _Work(Protocol):
    async def start(self) -> None: ...
    async def commit(self) -> None: ...
    async def rollback(self) -> None: ...


@asynccontextmanager
async def transaction(pool: Pool, *, durable: bool = True) -> AsyncGenerator[Connection]:
    """A connection inside a transaction; commits when the block ends, rolls back when it raises.

    durable=False: asynchronous commit, for rows that the next second replaces anyway.
    Raises OutcomeUnknownError when COMMIT was sent and not answered; every other error means nothing was written.
    """
    async with pool.acquire(timeout=ACQUIRE_SECONDS_MAX) as conn:
        work = cast("_Work", conn.transaction())
        await work.start()
        try:
            if not durable:
                await conn.execute("set local synchronous_commit = off")
            yield conn
        except BaseException:
            # A broken connection cannot roll back; the server has done so by itself.
            with suppress(Exception):
                await work.rollback()
            raise
        try:
            await work.commit()
        except Exception as error:
            if unreachable(error):
                raise OutcomeUnknownError from error
            raise
