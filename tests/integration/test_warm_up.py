"""Warming leaves no trace but the prepared statements."""

from __future__ import annotations

from flexlive.storage.pool import Pool
from flexlive.storage.warm_up import warm_up


async def test_every_session_is_warm_and_nothing_was_written(pool: Pool) -> None:
    await warm_up(pool)
    async with pool.acquire() as conn:
        assert await conn.fetchval("select count(*) from pg_prepared_statements where generic_plans > 0") > 40
        assert not conn.is_in_transaction()
    tables = await pool.fetch("select relname from pg_stat_user_tables where relname not like '%pogo%'")
    for table in tables:
        assert await pool.fetchval(f'select count(*) from "{table["relname"]}"') == 0, table["relname"]
