"""A market's rules in RAM: read again after a few seconds, so a change by ops holds soon and a ping needs no query."""

from __future__ import annotations

from typing import Final

from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.storage import policies
from flexlive.storage.policies import MarketRules
from flexlive.storage.pool import Executor

RULES_AGE_SECONDS_MAX: Final = 5.0
MARKETS_MAX: Final = 10_000


class RulesCache:
    """clock: monotonic seconds, as an argument of each call."""

    __slots__ = ("_known", "_time_scale")

    def __init__(self, time_scale: float) -> None:
        self._time_scale = time_scale
        self._known: dict[str, tuple[float, MarketRules]] = {}

    async def get(self, conn: Executor, market_id: str, monotonic_now: float) -> MarketRules:
        """At most RULES_AGE_SECONDS_MAX old. Raises FlexliveError(market_unknown)."""
        known = self._known.get(market_id)
        if known is not None and monotonic_now - known[0] < RULES_AGE_SECONDS_MAX:
            return known[1]
        rules = await policies.rules(conn, market_id, self._time_scale)
        if rules is None:
            raise FlexliveError(ErrorCode.MARKET_UNKNOWN)
        if known is None and len(self._known) >= MARKETS_MAX:
            del self._known[next(iter(self._known))]
        self._known[market_id] = (monotonic_now, rules)
        return rules

    def peek(self, market_id: str) -> MarketRules | None:
        """Whatever is known, however old; None before the first get."""
        known = self._known.get(market_id)
        return known[1] if known is not None else None
