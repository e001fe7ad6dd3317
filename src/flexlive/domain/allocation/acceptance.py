"""How likely it is that a driver accepts, and that anyone does."""

from __future__ import annotations

from collections.abc import Iterable
from math import exp, prod

from flexlive.domain.markets import MarketPolicy


def accept_probability(km: float, policy: MarketPolicy, learnt: float | None = None) -> float:
    """Of one driver km away from the pickup: the learnt share (else the market's prior), less with the distance."""
    willing = policy.acceptance_prior if learnt is None else learnt
    return min(1.0, max(0.0, willing)) * exp(-max(0.0, km) / policy.acceptance_km)


def any_accepts(probabilities: Iterable[float]) -> float:
    """1 − Π(1 − pᵢ); 0 for nobody."""
    return 1.0 - prod(1.0 - p for p in probabilities)
