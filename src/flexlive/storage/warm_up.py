"""Statements prepared and planned before the first phone connects.

A session meets each statement for the first time at the cost of a parse and a type look-up, and plans it anew for the
first five times; on a quiet server those few slow answers are the whole tail. Every argument is null here, so nothing
matches, nothing is inserted, and the transaction is rolled back anyway.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Final

from flexlive.storage.pool import Connection, Pool
from flexlive.storage.queries import Query, load

_NOUNS: Final = ("drivers", "offers", "events", "command_results", "routes", "policies", "deliveries")
_EXECUTIONS: Final = 6
"""PostgreSQL considers a generic plan from the sixth execution on."""


class _RollBackError(Exception):
    pass


async def warm_up(pool: Pool) -> None:
    """Warm every session the pool has now, all at once."""
    async with AsyncExitStack() as stack:
        sessions = [await stack.enter_async_context(pool.acquire()) for _ in range(pool.get_size())]
        await asyncio.gather(*(_warm(session) for session in sessions))


async def _warm(conn: Connection) -> None:
    try:
        async with conn.transaction():
            for query in _hot_queries():
                nothing = [None] * len(query.parameters)
                for _ in range(_EXECUTIONS):
                    await conn.fetch(query.sql, *nothing)
            raise _RollBackError
    except _RollBackError:
        pass


def _hot_queries() -> list[Query]:
    # A row of VALUES is inserted whatever its arguments are, and nulls would be refused.
    return [query for noun in _NOUNS for query in load(noun) if "\nvalues (" not in query.sql.lower()]
