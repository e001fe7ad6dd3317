"""How a failure is told to those who watch the process: an outage in a line, a mistake with its traceback."""

from __future__ import annotations

from typing import Protocol

from flexlive.storage import failures


class Log(Protocol):
    """The two levels that are used here."""

    def warning(self, event: str, **fields: object) -> object: ...
    def error(self, event: str, **fields: object) -> object: ...


def log_failure(log: Log, event: str, error: BaseException, **fields: object) -> None:
    """A database that does not answer is nobody's mistake, and clients come again: a warning without a traceback."""
    if failures.unreachable(error):
        log.warning(event, reason="database unreachable", **fields)
    else:
        log.error(event, exc_info=error, **fields)
