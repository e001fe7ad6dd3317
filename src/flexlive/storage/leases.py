"""Who may play a role in a market: one holder at a time, by the database's clock, fenced by a term that only rises."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from flexlive.storage import queries
from flexlive.storage.pool import Executor

LeaseName = Literal["relay", "dispatcher", "sweeper", "watch", "waker"]

_sql = queries.load("leases")


@dataclass(frozen=True, slots=True)
class Lease:
    """holder is unique per process start. Between expiry and the next holder's start two may believe they hold it:
    whatever they write or publish carries the term, and the lower term loses."""

    market_id: str
    name: LeaseName
    holder: str
    term: int
    expires_at: datetime


async def acquire(
    executor: Executor, market_id: str, name: LeaseName, holder: str, duration_seconds: float
) -> Lease | None:
    """The lease, or None while another holder has it. A holder that asks again keeps its term."""
    row = await executor.fetchrow(
        *_sql.acquire_lease.bind(market_id=market_id, name=name, holder=holder, duration_seconds=duration_seconds)
    )
    return None if row is None else Lease(market_id, name, holder, row["term"], row["expires_at"])


async def renew(executor: Executor, lease: Lease, duration_seconds: float) -> Lease | None:
    """The lease with its new expiry, or None when another holder has taken it: stop at once."""
    row = await executor.fetchrow(
        *_sql.renew_lease.bind(
            market_id=lease.market_id,
            name=lease.name,
            holder=lease.holder,
            term=lease.term,
            duration_seconds=duration_seconds,
        )
    )
    return None if row is None else replace(lease, expires_at=row["expires_at"])


async def release(executor: Executor, lease: Lease) -> None:
    """Let the next holder start at once; nothing happens when the lease was taken meanwhile."""
    await executor.execute(
        *_sql.release_lease.bind(market_id=lease.market_id, name=lease.name, holder=lease.holder, term=lease.term)
    )


async def hold(executor: Executor, lease: Lease) -> bool:
    """Inside a transaction: True, and the lease cannot be taken until it ends; False when it has been taken."""
    row = await executor.fetchrow(
        *_sql.hold_lease.bind(market_id=lease.market_id, name=lease.name, holder=lease.holder, term=lease.term)
    )
    return row is not None
