"""The interval of a difference: against tables, against symmetry, and against chance itself."""

from __future__ import annotations

import random
from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexlive.domain.effect import effect, group, t_probability, t_quantile

VALUES = st.lists(st.floats(-1e6, 1e6), max_size=20)


@pytest.mark.parametrize(
    ("freedom", "value"),
    [(1, 12.706205), (2, 4.302653), (5, 2.570582), (10, 2.228139), (30, 2.042272), (120, 1.979930), (1e6, 1.959966)],
)
def test_quantiles_of_the_printed_table(freedom: float, value: float) -> None:
    assert t_quantile(0.975, freedom) == pytest.approx(value, abs=1e-6)


@given(probability=st.floats(0.5, 0.9999), freedom=st.floats(0.5, 1e5))
def test_the_quantile_is_the_inverse_of_the_probability(probability: float, freedom: float) -> None:
    assert t_probability(t_quantile(probability, freedom), freedom) == pytest.approx(probability, abs=1e-9)


def test_an_example_worked_by_hand() -> None:
    # By hand: standard error 0.99547, 27.9 degrees of freedom, t 2.0487.
    a = [27.5, 21.0, 19.0, 23.6, 17.0, 17.9, 16.9, 20.1, 21.9, 22.6, 23.1, 19.6, 19.0, 21.7, 21.4]
    b = [27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8, 20.2, 21.9, 22.1, 22.9, 30.5, 24.9]
    found = effect(a, b)
    assert found.difference == pytest.approx(-2.8667, abs=1e-3)
    assert (found.low, found.high) == (pytest.approx(-4.9, abs=0.1), pytest.approx(-0.8, abs=0.1))


@given(cohort=VALUES, control=VALUES)
def test_swapping_the_groups_turns_the_sign(cohort: list[float], control: list[float]) -> None:
    one, other = effect(cohort, control), effect(control, cohort)
    assert (one.cohort, one.control) == (other.control, other.cohort)
    if one.difference is None or other.difference is None:
        assert not cohort or not control
        return
    assert one.difference == -other.difference
    if one.low is None or one.high is None or other.low is None or other.high is None:
        assert min(len(cohort), len(control)) == 1
        return
    assert one.low <= one.difference <= one.high
    assert isclose(one.low, -other.high, rel_tol=1e-9, abs_tol=1e-6)


@given(values=st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=30))
def test_a_mean_lies_among_its_values(values: list[float]) -> None:
    found = group(values)
    assert found.mean is not None
    assert min(values) <= found.mean <= max(values)


def test_the_interval_holds_the_truth_nineteen_times_of_twenty() -> None:
    chance, held, rounds = random.Random(7), 0, 400
    for _ in range(rounds):
        cohort = [chance.gauss(5, 3) for _ in range(12)]
        control = [chance.gauss(4, 1) for _ in range(30)]
        found = effect(cohort, control)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 1 <= found.high
    assert 0.92 <= held / rounds <= 0.98
