"""How often each table has been read, as PostgreSQL counts it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from flexlive.storage.pool import Pool

FLUSH_SECONDS = 11.0
"""A backend that goes quiet tells the statistics what it did within ten seconds."""

NEVER_TABLES = ("driver", "driver_inbox", "enrolment", "vehicle", "pilot_member", "stop")
"""What opening a session reads, and nobody else while nothing is ordered: not once."""
SELDOM_TABLES = ("token", "command_result", "route")
"""What it reads and workers look at by the clock: not more than they do without a storm."""
WORKERS_MORE_MAX = 5

_READS = """
select relname as name, coalesce(seq_scan, 0) + coalesce(idx_scan, 0) as scans
from pg_stat_user_tables where schemaname = 'public'
"""
_TRANSACTIONS = "select xact_commit + xact_rollback from pg_stat_database where datname = current_database()"


async def reads(pool: Pool) -> dict[str, int]:
    """Scans of each table so far, and `transactions` of the database. Waits until the statistics know them."""
    await asyncio.sleep(FLUSH_SECONDS)
    async with pool.acquire() as conn:
        await conn.execute("select pg_stat_clear_snapshot()")
        counted: dict[str, int] = {row["name"]: row["scans"] for row in await conn.fetch(_READS)}
        counted["transactions"] = await conn.fetchval(_TRANSACTIONS)
    return counted


def more(after: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    """What was read in between; tables without a read are left out."""
    return {name: count - before.get(name, 0) for name, count in after.items() if count != before.get(name, 0)}


def by_sessions(read: Mapping[str, int], quiet: Mapping[str, int]) -> dict[str, int]:
    """Of what was read during a storm, what sessions read. quiet: what was read in as long a time without one.

    Positions that phones send with hello are written later, in batches; that counts as scans of `driver_position`.
    """
    never = {name: read[name] for name in NEVER_TABLES if read.get(name)}
    seldom = {name: read.get(name, 0) - quiet.get(name, 0) for name in SELDOM_TABLES}
    return never | {name: count for name, count in seldom.items() if count > WORKERS_MORE_MAX}
