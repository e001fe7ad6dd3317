"""A token bucket whose clock is an argument."""

from __future__ import annotations


class TokenBucket:
    """Holds up to `burst` tokens and gains `per_second`. Starts full. Times are seconds of any monotonic clock."""

    __slots__ = ("_at", "_tokens", "burst", "per_second")

    def __init__(self, burst: float, per_second: float, now: float) -> None:
        self.burst = burst
        self.per_second = per_second
        self._tokens = burst
        self._at = now

    def take(self, now: float) -> bool:
        """Spend one token; False when there is none (nothing is spent)."""
        self._refill(now)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def wait_seconds(self, now: float) -> float:
        """How long until a token is there."""
        self._refill(now)
        return max(0.0, (1 - self._tokens) / self.per_second)

    def _refill(self, now: float) -> None:
        if now > self._at:
            self._tokens = min(self.burst, self._tokens + (now - self._at) * self.per_second)
            self._at = now
