"""Whose token this is, without asking the database again while the answer is fresh.

A token is looked up once; while its driver has a socket in this process, and for the resume window after it, the answer
holds. Whatever makes it wrong is a fact about the driver (log-out, suspension, another enrolment), and facts end it at
once. Refusals are never remembered, and a ticket is always looked up, since that is what spends it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import UUID

from flexlive.protocol.limits import RESUME_WINDOW_SECONDS

if TYPE_CHECKING:
    from flexlive.services.drivers import DriverPrincipal

ENDING_KINDS: Final = frozenset({"driver.family_revoked", "driver.suspended", "driver.enrolment"})
"""Facts on a driver's stream after which what was known of the driver's tokens no longer holds."""
READ_SECONDS_MAX: Final = 30.0
"""Longer than a look-up may take: for so long a fact also ends what is still being looked up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrincipalOptions:
    """tokens_max: kept beyond those of open sockets; above it the longest gone is looked up again."""

    keep_seconds: float = RESUME_WINDOW_SECONDS
    tokens_max: int = 50_000


@dataclass(slots=True)
class _Known:
    principal: DriverPrincipal
    sockets: int = 0
    until: float = 0.0


class PrincipalCache:
    """One per process. Times are monotonic seconds, given by the caller."""

    def __init__(self, options: PrincipalOptions | None = None) -> None:
        self._options = options or PrincipalOptions()
        self._known: dict[bytes, _Known] = {}
        self._by_driver: dict[tuple[str, UUID], set[bytes]] = {}
        # Tokens without a socket, in the order in which they go.
        self._idle: dict[bytes, None] = {}
        self._ended: dict[tuple[str, UUID], float] = {}

    def __len__(self) -> int:
        return len(self._known)

    def get(self, token_sha256: bytes, now: float) -> DriverPrincipal | None:
        self._expire(now)
        known = self._known.get(token_sha256)
        return None if known is None else known.principal

    def connected(self, principal: DriverPrincipal, now: float) -> None:
        """A socket of this token is open: what is known of it holds until `lost`. One call of `lost` for each."""
        known = self._known.get(principal.token_sha256)
        if known is None:
            who = (principal.market_id, principal.driver_id)
            if self._ended.get(who, -1.0) >= principal.checked_at:
                # Looked up before the fact that ended it.
                return
            known = self._known[principal.token_sha256] = _Known(principal)
            self._by_driver.setdefault(who, set()).add(principal.token_sha256)
        elif known.principal is not principal:
            known.principal = max(known.principal, principal, key=lambda each: each.checked_at)
        known.sockets += 1
        self._idle.pop(principal.token_sha256, None)
        self._expire(now)

    def lost(self, principal: DriverPrincipal, now: float) -> None:
        """A socket of this token is gone: what is known of it holds for keep_seconds more."""
        known = self._known.get(principal.token_sha256)
        if known is None or known.sockets == 0:
            return
        known.sockets -= 1
        if known.sockets == 0:
            known.until = now + self._options.keep_seconds
            self._idle[principal.token_sha256] = None
        self._expire(now)

    def end(self, market_id: str, driver_id: UUID, now: float) -> None:
        """Something about the driver has changed: every token of theirs is looked up anew."""
        who = (market_id, driver_id)
        self._ended.pop(who, None)
        self._ended[who] = now
        for token_sha256 in self._by_driver.pop(who, ()):
            self._known.pop(token_sha256, None)
            self._idle.pop(token_sha256, None)
        self._expire(now)

    def _expire(self, now: float) -> None:
        while self._idle:
            first = next(iter(self._idle))
            if self._known[first].until > now and len(self._idle) <= self._options.tokens_max:
                break
            del self._idle[first]
            principal = self._known.pop(first).principal
            of_driver = self._by_driver[principal.market_id, principal.driver_id]
            of_driver.discard(first)
            if not of_driver:
                del self._by_driver[principal.market_id, principal.driver_id]
        while self._ended and next(iter(self._ended.values())) < now - READ_SECONDS_MAX:
            del self._ended[next(iter(self._ended))]
