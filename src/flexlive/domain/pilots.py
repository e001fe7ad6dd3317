"""A pilot: an offer type tried with some drivers and not with others, so that its effect can be told."""

from __future__ import annotations

from enum import StrEnum


class PilotArm(StrEnum):
    COHORT = "cohort"
    CONTROL = "control"
