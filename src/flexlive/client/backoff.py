"""How long to wait before connecting again: full jitter, so that ten thousand phones do not come back as one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

EXPONENT_MAX = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class BackoffOptions:
    """The first wait is drawn from [0, base), each failure in a row doubles the range up to cap."""

    base_seconds: float = 0.25
    cap_seconds: float = 15.0


def full_jitter(attempt: int, options: BackoffOptions, random: Callable[[], float]) -> float:
    """Seconds to wait before attempt (0 = the first retry). random returns [0, 1)."""
    if attempt < 0:
        raise ValueError(f"attempt {attempt} is negative")
    ceiling = min(options.cap_seconds, options.base_seconds * 2 ** min(attempt, EXPONENT_MAX))
    return ceiling * random()


class Comeback:
    """When one client connects again. draw returns [0, 1)."""

    def __init__(self, options: BackoffOptions, draw: Callable[[], float]) -> None:
        self._options, self._draw = options, draw
        self._failures = 0
        self._told_seconds: float | None = None

    def told(self, seconds: float) -> None:
        """The server has named the time."""
        self._told_seconds = seconds

    def wait_seconds(self, *, opened: bool) -> float:
        """After a connection that ended. opened: a session had been live on it."""
        self._failures = 0 if opened else self._failures + 1
        told, self._told_seconds = self._told_seconds, None
        return full_jitter(self._failures, self._options, self._draw) if told is None else told
