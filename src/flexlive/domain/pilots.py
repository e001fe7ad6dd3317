"""A pilot: an offer type tried with some drivers and not with others, so that its effect can be told."""

from __future__ import annotations

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

_DRAWS: Final = 1 << 64


class PilotArm(StrEnum):
    COHORT = "cohort"
    CONTROL = "control"


class PilotStatus(StrEnum):
    SCHEDULED = "scheduled"
    RUNNING = "running"
    ENDED = "ended"
    KILLED = "killed"


def status_of(starts_at: datetime, ends_at: datetime, killed_at: datetime | None, now: datetime) -> PilotStatus:
    """A killed pilot stays killed until it is resumed, whatever its dates say."""
    if killed_at is not None:
        return PilotStatus.KILLED
    if now < starts_at:
        return PilotStatus.SCHEDULED
    return PilotStatus.RUNNING if now < ends_at else PilotStatus.ENDED


def arm_of(pilot_id: UUID, driver_id: UUID, cohort_share: float, control_share: float) -> PilotArm | None:
    """By chance, but always the same for a pilot and a driver; None for who is in neither arm. Shares add up to ≤ 1."""
    drawn = int.from_bytes(hashlib.sha256(pilot_id.bytes + driver_id.bytes).digest()[:8]) / _DRAWS
    if drawn < cohort_share:
        return PilotArm.COHORT
    return PilotArm.CONTROL if drawn < cohort_share + control_share else None
