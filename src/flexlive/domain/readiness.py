"""What the store says about an order; moves beside custody, never folded into it (lifecycle.md)."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Readiness(StrEnum):
    PENDING = "pending"
    PREPARING = "preparing"
    READY = "ready"
    DELAYED = "delayed"
    HANDED_OVER = "handed_over"
    UNAVAILABLE = "unavailable"


_R = Readiness

READINESS_TRANSITIONS: Final[tuple[tuple[Readiness, Readiness], ...]] = (
    (_R.PENDING, _R.PREPARING),
    (_R.PREPARING, _R.READY),
    (_R.READY, _R.HANDED_OVER),
    (_R.PREPARING, _R.DELAYED),
    (_R.READY, _R.DELAYED),
    (_R.DELAYED, _R.READY),
    (_R.PENDING, _R.UNAVAILABLE),
    (_R.PREPARING, _R.UNAVAILABLE),
    (_R.READY, _R.UNAVAILABLE),
    (_R.DELAYED, _R.UNAVAILABLE),
)

# A counter that says `ready` without having said `preparing` has prepared it none the less.
_FORWARD: Final = {
    _R.PENDING: _R.PREPARING,
    _R.PREPARING: _R.READY,
    _R.DELAYED: _R.READY,
    _R.READY: _R.HANDED_OVER,
}


def can_become(current: Readiness, wanted: Readiness) -> bool:
    """Whether one row leads from current to wanted."""
    return (current, wanted) in READINESS_TRANSITIONS


def readiness_sources(wanted: Readiness) -> frozenset[Readiness]:
    return frozenset(source for source, target in READINESS_TRANSITIONS if target is wanted)


def readiness_steps(current: Readiness, wanted: Readiness) -> tuple[Readiness, ...] | None:
    """The legal steps to wanted, those a store skipped filled in; () when there already, None when there is no way."""
    if current is wanted:
        return ()
    if can_become(current, wanted):
        return (wanted,)
    if wanted not in (_R.READY, _R.HANDED_OVER):
        return None
    steps: list[Readiness] = []
    while current is not wanted:
        following = _FORWARD.get(current)
        if following is None:
            return None
        steps.append(following)
        current = following
    return tuple(steps)
