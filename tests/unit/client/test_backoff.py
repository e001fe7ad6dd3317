"""Full jitter: every wait between nothing and a ceiling that doubles up to a cap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexlive.client.backoff import BackoffOptions, full_jitter

OPTIONS = BackoffOptions(base_seconds=0.5, cap_seconds=8.0)


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_wait_is_never_negative_and_never_above_the_cap(attempt: int, draw: float) -> None:
    assert 0 <= full_jitter(attempt, OPTIONS, lambda: draw) <= OPTIONS.cap_seconds


def test_the_ceiling_doubles_until_the_cap() -> None:
    ceilings = [full_jitter(attempt, OPTIONS, lambda: 1.0) for attempt in range(7)]
    assert ceilings == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_the_whole_range_is_used() -> None:
    assert full_jitter(3, OPTIONS, lambda: 0.0) == 0.0
    assert full_jitter(3, OPTIONS, lambda: 0.25) == 1.0


def test_a_negative_attempt_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError):
        full_jitter(-1, OPTIONS, lambda: 0.5)
