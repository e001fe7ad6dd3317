from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexlive.domain.readiness import READINESS_TRANSITIONS, Readiness, can_become, readiness_sources, readiness_steps

R = Readiness
states = st.sampled_from(R)


@given(states, states)
def test_steps_are_legal_and_arrive(current: Readiness, wanted: Readiness) -> None:
    steps = readiness_steps(current, wanted)
    if steps is None:
        assert not can_become(current, wanted)
        return
    here = current
    for step in steps:
        assert can_become(here, step)
        here = step
    assert here is wanted


@pytest.mark.parametrize(
    ("current", "wanted", "steps"),
    [
        (R.PENDING, R.READY, (R.PREPARING, R.READY)),
        (R.PENDING, R.HANDED_OVER, (R.PREPARING, R.READY, R.HANDED_OVER)),
        (R.DELAYED, R.HANDED_OVER, (R.READY, R.HANDED_OVER)),
        (R.READY, R.READY, ()),
        (R.READY, R.PREPARING, None),
        (R.PENDING, R.DELAYED, None),
        (R.HANDED_OVER, R.UNAVAILABLE, None),
        (R.UNAVAILABLE, R.READY, None),
        (R.HANDED_OVER, R.READY, None),
    ],
)
def test_what_a_store_may_say(current: Readiness, wanted: Readiness, steps: tuple[Readiness, ...] | None) -> None:
    assert readiness_steps(current, wanted) == steps


def test_any_but_handed_over_may_become_unavailable() -> None:
    assert readiness_sources(R.UNAVAILABLE) == set(R) - {R.HANDED_OVER, R.UNAVAILABLE}


def test_handed_over_and_unavailable_are_final() -> None:
    assert not {source for source, _ in READINESS_TRANSITIONS} & {R.HANDED_OVER, R.UNAVAILABLE}
