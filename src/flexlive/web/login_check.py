"""Asks the database now and then whether the logins behind the sessions of this process still hold.

A log-out or suspension arrives as a fact within moments; this is the net below it. What is tested is the token family,
not the access token: a socket outlives the token that opened it.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from prometheus_client import Counter

from flexlive.realtime.sessions import SessionStore
from flexlive.services.context import Context
from flexlive.storage import drivers
from flexlive.web.outages import log_failure

LOGINS_PER_QUERY_MAX: Final = 500
PAUSE_SECONDS: Final = 0.1
"""Between two queries, so that many drivers are no burst."""

_ENDED = Counter(
    "flexlive_logins_found_ended_total", "Sessions ended because their login no longer held when looked at"
)
_log = structlog.get_logger(__name__)


class LoginCheck:
    """interval_seconds: between two looks at everybody."""

    def __init__(self, ctx: Context, sessions: SessionStore, interval_seconds: float) -> None:
        self._ctx, self._sessions, self._interval_seconds = ctx, sessions, interval_seconds

    async def run(self) -> None:
        """Until cancelled. A look that fails is taken up again by the next."""
        while True:
            await asyncio.sleep(self._interval_seconds)
            try:
                await self.look()
            except Exception as error:
                log_failure(_log, "login check failed", error)

    async def look(self) -> int:
        """End every session whose login has ended; how many there were."""
        ended = 0
        for market_id, logins in self._sessions.logins().items():
            for start in range(0, len(logins), LOGINS_PER_QUERY_MAX):
                batch = logins[start : start + LOGINS_PER_QUERY_MAX]
                for row in await drivers.logins_ended(self._ctx.pool, market_id, batch):
                    ended += 1
                    _ENDED.inc()
                    driver_id = row["driver_id"]
                    self._ctx.principals.end(market_id, driver_id, self._ctx.monotonic())
                    if row["active"]:
                        self._sessions.family_revoked(market_id, driver_id, row["family_id"])
                    else:
                        self._sessions.suspended(market_id, driver_id)
                await asyncio.sleep(PAUSE_SECONDS)
        return ended
