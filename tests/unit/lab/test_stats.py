"""Percentiles by nearest rank: always a sample, never an invention."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexlive.lab.stats import Percentiles, nearest_rank, percentiles


def test_no_samples_give_no_figures() -> None:
    assert percentiles([]) == Percentiles(None, None, None, None, 0)
    with pytest.raises(ValueError):
        nearest_rank([], 50)


def test_textbook_values() -> None:
    hundred = [float(n) for n in range(1, 101)]
    assert (nearest_rank(hundred, 50), nearest_rank(hundred, 99), nearest_rank(hundred, 100)) == (50, 99, 100)
    assert nearest_rank([7.0], 1) == 7.0
    assert percentiles([3.0, 1.0, 2.0]) == Percentiles(2.0, 3.0, 3.0, 2.0, 3)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.1, 100))
def test_the_definition_holds(samples: list[float], percent: float) -> None:
    ordered = sorted(samples)
    value = nearest_rank(ordered, percent)
    at_or_below = sum(s <= value for s in ordered)
    assert value in ordered
    assert at_or_below >= len(ordered) * percent / 100 - 1e-9
    assert sum(s < value for s in ordered) < len(ordered) * percent / 100 + 1e-9
