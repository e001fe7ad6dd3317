"""What wants an operator's eye."""

from __future__ import annotations

from enum import StrEnum


class AlertKind(StrEnum):
    DRIVER_SILENT = "driver_silent"
    INCIDENT = "incident"
    LATE_COMMAND = "late_command"
    NO_DRIVER = "no_driver"
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
