"""What is kept how long, deleted in bounded bites: the relay waits for the oldest transaction, so none may be long."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from flexlive.storage import command_results, login_codes, push_targets, tokens, wake_rings
from flexlive.storage.leases import Lease, hold
from flexlive.storage.pool import Pool
from flexlive.storage.transaction import transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionOptions:
    command_results_days: float = 7.0
    tokens_ended_days: float = 7.0
    login_codes_days: float = 1.0
    wake_ups_days: float = 30.0
    rows_per_transaction_max: int = 500


async def sweep(pool: Pool, lease: Lease, options: RetentionOptions, now: datetime) -> int:
    """One bite of everything that is too old, in one transaction; the rows that went, 0 when there is no more."""
    rows_max = options.rows_per_transaction_max
    async with transaction(pool, durable=False) as conn:
        if not await hold(conn, lease):
            return 0
        answers_before = now - timedelta(days=options.command_results_days)
        tokens_before = now - timedelta(days=options.tokens_ended_days)
        gone = await command_results.forget(conn, lease.market_id, answers_before, rows_max)
        gone += await tokens.forget(conn, lease.market_id, tokens_before, rows_max)
        # Younger rows still count how often a number has asked for codes.
        codes_before = now - timedelta(days=options.login_codes_days)
        gone += await login_codes.forget(conn, lease.market_id, codes_before, rows_max)
        wake_ups_before = now - timedelta(days=options.wake_ups_days)
        gone += await push_targets.forget(conn, lease.market_id, wake_ups_before, rows_max)
        return gone + await wake_rings.forget(conn, lease.market_id, wake_ups_before, rows_max)
