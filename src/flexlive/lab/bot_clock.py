"""The fleet's time: one clock for all its phones, and the scale between the play and the wall."""

from __future__ import annotations

import asyncio
import contextlib
import time


class BotClock:
    """scale: policy seconds per wall second. The play begins when `begin` is called."""

    def __init__(self, scale: float) -> None:
        self.scale = scale
        self._begun = asyncio.Event()
        self._begun_at = 0.0

    def now(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    def unix(self) -> float:
        return time.time()

    def begin(self) -> None:
        if not self._begun.is_set():
            self._begun_at = self.now()
            self._begun.set()

    async def sleep(self, policy_seconds: float) -> None:
        """Sleeps so long in the play's own time."""
        await asyncio.sleep(policy_seconds / self.scale)

    async def until_play(self, wall_seconds: float, stop: asyncio.Event) -> None:
        """Until so many wall seconds after the beginning, at once if that is not above zero; or until stop is set."""
        if wall_seconds <= 0:
            return
        begun = asyncio.create_task(self._begun.wait())
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({begun, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if begun.done() and not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), max(0.0, self._begun_at + wall_seconds - self.now()))
        finally:
            begun.cancel()
            stopped.cancel()
