"""Care of a database that has just been filled."""

from __future__ import annotations

from flexlive.storage.pool import Executor
from flexlive.storage.queries import load

_sql = load("maintenance")

ANALYZE_TIMEOUT_SECONDS = 60.0


async def refresh_statistics(conn: Executor) -> None:
    """Tells the planner how large the tables are; call it after a seed or a bulk load."""
    await conn.execute(_sql.analyze.sql, timeout=ANALYZE_TIMEOUT_SECONDS)
