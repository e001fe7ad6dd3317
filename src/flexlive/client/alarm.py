"""One timer that follows a deadline cheaply."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable


class Alarm:
    """Rings at the deadline or before it, never after: most changes move a deadline away, and a timer that is left
    alone costs nothing. Whoever is rung too early sets it again.
    """

    def __init__(self, ring: Callable[[], None], clock: Callable[[], float]) -> None:
        self._ring, self._clock = ring, clock
        self._handle: asyncio.TimerHandle | None = None
        self._at = math.inf

    def set(self, deadline: float) -> None:
        """deadline: in seconds of the clock; infinity switches the alarm off."""
        if self._handle is not None:
            if self._at <= deadline < math.inf:
                return
            self._handle.cancel()
            self._handle = None
        if deadline < math.inf:
            self._at = deadline
            delay_seconds = max(0.0, deadline - self._clock())
            self._handle = asyncio.get_running_loop().call_later(delay_seconds, self._rung)

    def _rung(self) -> None:
        self._handle = None
        self._ring()
