"""Latest positions from RAM to PostgreSQL, each second, in small asynchronous transactions.

The relay waits for the oldest running transaction, so no transaction here may be long.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

import structlog
from prometheus_client import Counter

from flexlive.services import locations
from flexlive.services.context import Context

_log = structlog.get_logger()
_rows = Counter("flexlive_location_rows_written_total", "Latest positions written")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocationWriterOptions:
    interval_seconds: float = 1.0
    batch_rows_max: int = 500
    failure_delay_seconds: float = 2.0


class LocationWriter:
    """Drains the dirty set of this process. What a failed write took is marked dirty again."""

    def __init__(self, ctx: Context, options: LocationWriterOptions) -> None:
        self._ctx = ctx
        self._options = options

    async def run(self) -> None:
        """Until cancelled; then one last drain, so a clean stop forgets nothing."""
        try:
            while True:
                await asyncio.sleep(self._options.interval_seconds)
                try:
                    await self.drain()
                except Exception as error:
                    _log.warning("location_writer_failed", error=repr(error))
                    await asyncio.sleep(self._options.failure_delay_seconds)
        finally:
            with contextlib.suppress(Exception):
                await self.drain()

    async def drain(self) -> int:
        """Write everything dirty; returns the rows written."""
        total = 0
        while written := await locations.write_dirty(self._ctx, self._options.batch_rows_max):
            total += written
        _rows.inc(total)
        return total
