"""One ring carried out: a phone is asked to wake, as often as nobody took the request, while the offer stands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, assert_never
from uuid import UUID

import structlog
from prometheus_client import Counter

from flexlive.services.context import Context
from flexlive.services.wake_push import (
    Accepted,
    Dead,
    Later,
    Outcome,
    PushKind,
    PushProvider,
    Refused,
    Ring,
    Unknown,
)
from flexlive.services.waking import Phone, Ringing
from flexlive.storage import push_targets, wake_rings
from flexlive.storage.wake_rings import RingOutcome

_RINGS = Counter("flexlive_wake_rings_total", "Rings of sleeping phones by what became of them", ["kind", "outcome"])
_log = structlog.get_logger(__name__)
NOBODY: Final = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class RingOptions:
    """seconds_left_min: an offer that ends sooner is not rung for. backoff_seconds_max: before the next attempt, when
    the push service names no time."""

    at_once_max: int = 32
    attempts_max: int = 3
    backoff_seconds_max: float = 4.0
    seconds_left_min: float = 5.0


@dataclass(frozen=True, slots=True)
class _End:
    outcome: RingOutcome
    phone: Phone | None
    attempts: int


class Ringer:
    """draw: uniform in [0, 1)."""

    def __init__(
        self,
        ctx: Context,
        providers: Mapping[PushKind, PushProvider],
        options: RingOptions,
        draw: Callable[[], float],
    ) -> None:
        self._ctx = ctx
        self._providers: Mapping[str, PushProvider] = {str(kind): each for kind, each in providers.items()}
        self._options = options
        self._draw = draw

    async def ring(self, market_id: str, offer_id: UUID, ringing: Ringing) -> None:
        """Ring the driver's phone that was registered last; the next one when that is gone. Handles its own errors."""
        driver_id = ringing.claimed.driver_id
        try:
            end = await self._until_taken(market_id, offer_id, ringing)
            _RINGS.labels(NOBODY if end.phone is None else end.phone.kind, end.outcome).inc()
            await wake_rings.settle(
                self._ctx.pool,
                market_id,
                offer_id,
                driver_id,
                end.outcome,
                kind=None if end.phone is None else end.phone.kind,
                device_id=None if end.phone is None else end.phone.device_id,
                attempts=end.attempts,
            )
        except Exception as error:
            # The row stays without an outcome, and nobody rings again: too few rings rather than two.
            _log.warning("wake_ring_failed", market_id=market_id, offer_id=offer_id, error=repr(error))

    async def _until_taken(self, market_id: str, offer_id: UUID, ringing: Ringing) -> _End:
        claimed, attempts = ringing.claimed, 0
        left: float | None = claimed.seconds_left
        for phone in ringing.phones:
            provider = self._providers.get(phone.kind)
            while provider is not None:
                if attempts:
                    # Right before sending, each time: the offer may have gone, or the phone have woken by itself.
                    left = await wake_rings.seconds_left(
                        self._ctx.pool, market_id, offer_id, claimed.driver_id, self._options.seconds_left_min
                    )
                if left is None:
                    return _End("too_late", phone, attempts)
                attempts += 1
                outcome = await self._push(provider, phone, Ring(offer_id, claimed.valid_until, left))
                match outcome:
                    case Accepted():
                        return _End("accepted", phone, attempts)
                    case Unknown():
                        return _End("unknown", phone, attempts)
                    case Refused(reason=reason):
                        _log.warning("wake_push_refused", kind=phone.kind, reason=reason)
                        return _End("refused", phone, attempts)
                    case Dead():
                        await push_targets.mark_dead(
                            self._ctx.pool, market_id, phone.kind, phone.target.address, phone.registered_at,
                            self._ctx.clock(),
                        )  # fmt: skip
                        break
                    case Later(after_seconds=after_seconds):
                        if attempts >= self._options.attempts_max or after_seconds >= left:
                            return _End("given_up", phone, attempts)
                        await asyncio.sleep(max(after_seconds, self._draw() * self._backoff_seconds(attempts)))
                    case _:
                        assert_never(outcome)
        return _End("no_target", None, attempts)

    async def _push(self, provider: PushProvider, phone: Phone, ring: Ring) -> Outcome:
        try:
            return await provider.push(phone.target, ring)
        except Exception as error:
            # Its text may hold the address.
            _log.warning("wake_push_failed", kind=phone.kind, error=type(error).__name__)
            return Unknown(type(error).__name__)

    def _backoff_seconds(self, attempts: int) -> float:
        return min(self._options.backoff_seconds_max, 0.5 * 2.0**attempts)
