"""How much two groups differ: difference of means with Welch's interval. Pure; no distribution is assumed but that
means of this many drivers are near normal.

Welch: the groups may differ in size and in spread, as a pilot's cohort and its control do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf, isfinite, lgamma, log, sqrt
from typing import Final

CONFIDENCE: Final = 0.95
_TINY: Final = 1e-300
_ROUNDS_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Group:
    """mean: None without anybody. variance: unbiased; None with fewer than two."""

    size: int
    mean: float | None
    variance: float | None


@dataclass(frozen=True, slots=True)
class Effect:
    """difference: cohort − control. low, high: bounds of its interval; None where a group has fewer than two."""

    cohort: Group
    control: Group
    difference: float | None
    low: float | None
    high: float | None


def group(values: Sequence[float]) -> Group:
    size = len(values)
    if size == 0:
        return Group(0, None, None)
    mean = sum(values) / size
    # A rounded sum may leave the range of what was summed.
    mean = min(max(mean, min(values)), max(values))
    variance = sum((value - mean) ** 2 for value in values) / (size - 1) if size > 1 else None
    return Group(size, mean, variance)


def effect(cohort: Sequence[float], control: Sequence[float], confidence: float = CONFIDENCE) -> Effect:
    """What being in the cohort goes with, by these measures of its members and of the control's."""
    treated, spared = group(cohort), group(control)
    if treated.mean is None or spared.mean is None:
        return Effect(treated, spared, None, None, None)
    difference = treated.mean - spared.mean
    if treated.variance is None or spared.variance is None:
        return Effect(treated, spared, difference, None, None)
    half = _half_width(
        treated.variance / treated.size, treated.size, spared.variance / spared.size, spared.size, confidence
    )
    return Effect(treated, spared, difference, difference - half, difference + half)


def _half_width(of_cohort: float, cohort_size: int, of_control: float, control_size: int, confidence: float) -> float:
    """of_…: variance of the group's mean."""
    total = of_cohort + of_control
    if total <= 0:
        return 0.0
    # Welch–Satterthwaite, by shares: squares of tiny variances would vanish.
    share = of_cohort / total
    freedom = 1 / (share**2 / (cohort_size - 1) + (1 - share) ** 2 / (control_size - 1))
    return t_quantile(0.5 + confidence / 2, freedom) * sqrt(total)


def t_quantile(probability: float, freedom: float) -> float:
    """The value a Student's t of so many degrees of freedom stays below with this probability, 0.5 ≤ p < 1."""
    if not 0.5 <= probability < 1 or not freedom > 0:
        raise ValueError("needs 0.5 ≤ probability < 1 and freedom > 0")
    low, high = 0.0, 1.0
    while t_probability(high, freedom) < probability and isfinite(high):
        low, high = high, high * 2
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if t_probability(middle, freedom) < probability else (low, middle)
    return high


def t_probability(value: float, freedom: float) -> float:
    """P(T ≤ value) for value ≥ 0."""
    if value == inf:
        return 1.0
    square = value * value
    return 1 - _beta_share(freedom / (freedom + square), square / (freedom + square), freedom / 2, 0.5) / 2


def _beta_share(x: float, rest: float, a: float, b: float) -> float:
    """The regularized incomplete beta function. rest: 1 − x, which a subtraction would round away near 1."""
    if x <= 0 or rest <= 0:
        return 0.0 if x <= 0 else 1.0
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(rest))
    # The continued fraction converges fast on its own side of the mean only.
    if x < (a + 1) / (a + b + 2):
        return front * _beta_fraction(x, a, b) / a
    return 1 - front * _beta_fraction(rest, b, a) / b


def _beta_fraction(x: float, a: float, b: float) -> float:
    """Lentz's method for the continued fraction of the incomplete beta function."""
    upper, lower = 1.0, 1 / _away(1 - (a + b) * x / (a + 1))
    fraction = lower
    for step in range(1, _ROUNDS_MAX):
        even = step * (b - step) * x / ((a + 2 * step - 1) * (a + 2 * step))
        odd = -(a + step) * (a + b + step) * x / ((a + 2 * step) * (a + 2 * step + 1))
        change = 1.0
        for term in (even, odd):
            lower = 1 / _away(1 + term * lower)
            upper = _away(1 + term / upper)
            change = lower * upper
            fraction *= change
        if abs(change - 1) < 1e-15:
            break
    return fraction


def _away(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
