"""The commands of one socket: one at a time and in order, because a phone's second may depend on its first."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import structlog
from prometheus_client import Histogram

from flexlive.domain.errors import FlexliveError
from flexlive.protocol.client_frames import Command
from flexlive.protocol.close_codes import CloseCode
from flexlive.protocol.codec import encode_result
from flexlive.storage.group_commit import QueueFullError
from flexlive.storage.transaction import OutcomeUnknownError
from flexlive.web.outages import log_failure

if TYPE_CHECKING:
    from flexlive.web.driver_connection import DriverConnection

COMMANDS_QUEUED_MAX: Final = 16
QUEUE_FULL_RETRY_MS: Final = 500

_SECONDS = Histogram(
    "flexlive_command_seconds",
    "From a command's turn to its answer",
    ["type"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 5),
)
_log = structlog.get_logger(__name__)


class CommandQueue:
    """Runs as a task only while there is something to run."""

    __slots__ = ("_connection", "_running", "_waiting")

    def __init__(self, connection: DriverConnection) -> None:
        self._connection = connection
        self._waiting: deque[Command] | None = None
        self._running = False

    def put(self, command: Command) -> None:
        """Take a command; beyond COMMANDS_QUEUED_MAX it is answered `rate_limited` at once."""
        if self._waiting is None:
            self._waiting = deque()
        if len(self._waiting) >= COMMANDS_QUEUED_MAX:
            self._connection.answer(_try_later(command))
        else:
            self._waiting.append(command)

    def start(self) -> None:
        """Run what waits, and what is put meanwhile. Idempotent."""
        if self._waiting and not self._running:
            self._running = True
            self._connection.edge.spawn(self._run(self._waiting))

    def clear(self) -> None:
        """Forget what has not begun: the phone has no answer to it and sends it again."""
        if self._waiting is not None:
            self._waiting.clear()

    async def _run(self, waiting: deque[Command]) -> None:
        monotonic = self._connection.edge.monotonic
        while waiting:
            command = waiting.popleft()
            began = monotonic()
            body = await self._execute(command)
            _SECONDS.labels(type(command).__struct_config__.tag).observe(monotonic() - began)
            if body is not None:
                self._connection.answer(body)
        self._running = False

    async def _execute(self, command: Command) -> bytes | None:
        connection = self._connection
        try:
            return await connection.edge.execute(connection.principal, connection.device_id, command)
        except QueueFullError:
            return _try_later(command)
        except OutcomeUnknownError:
            connection.close(CloseCode.INTERNAL, "outcome unknown")
        except FlexliveError as error:
            if error.entry.result_code is not None:
                return encode_result(command.cmd, ok=False, code=error.entry.result_code)
            connection.close(CloseCode(error.entry.close_code or CloseCode.INTERNAL), error.code)
        except Exception as error:
            kind = type(command).__name__
            log_failure(_log, "command failed", error, market_id=connection.principal.market_id, type=kind)
            connection.close(CloseCode.INTERNAL, "internal error")
        return None


def _try_later(command: Command) -> bytes:
    return encode_result(command.cmd, ok=False, code="rate_limited", retry_after_ms=QUEUE_FULL_RETRY_MS)
