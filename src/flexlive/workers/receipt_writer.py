"""What apps say they have shown, from RAM to PostgreSQL, each second, in small transactions."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

import structlog

from flexlive.services import receipts
from flexlive.services.context import Context

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptWriterOptions:
    interval_seconds: float = 1.0
    batch_rows_max: int = 500
    failure_delay_seconds: float = 2.0


class ReceiptWriter:
    """Drains the notices and offers seen in this process. What a failed write took waits again."""

    def __init__(self, ctx: Context, options: ReceiptWriterOptions) -> None:
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
                    _log.warning("receipt_writer_failed", error=repr(error))
                    await asyncio.sleep(self._options.failure_delay_seconds)
        finally:
            with contextlib.suppress(Exception):
                await self.drain()

    async def drain(self) -> int:
        """Write everything that waits; returns how many."""
        total = 0
        while written := await receipts.write(self._ctx, self._options.batch_rows_max):
            total += written
        return total
