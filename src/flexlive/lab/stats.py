"""Exact percentiles from kept samples: a lab has few enough of them to keep all."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from msgspec import Struct


class Percentiles(Struct, frozen=True):
    """Nearest-rank percentiles in the unit of the field that holds them; None where there was no sample."""

    p50: float | None
    p99: float | None
    max: float | None
    mean: float | None
    count: int


def nearest_rank(ordered: Sequence[float], percent: float) -> float:
    """The smallest sample with at least percent (0 < percent ≤ 100) of all samples at or below it."""
    if not ordered:
        raise ValueError("no samples")
    return ordered[max(1, math.ceil(len(ordered) * percent / 100)) - 1]


def percentiles(samples: Iterable[float], digits: int = 2) -> Percentiles:
    ordered = sorted(samples)
    if not ordered:
        return Percentiles(None, None, None, None, 0)
    return Percentiles(
        round(nearest_rank(ordered, 50), digits),
        round(nearest_rank(ordered, 99), digits),
        round(ordered[-1], digits),
        round(math.fsum(ordered) / len(ordered), digits),
        len(ordered),
    )
