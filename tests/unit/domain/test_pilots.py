"""Who is in which arm, and whether a pilot runs."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from flexlive.domain.pilots import PilotArm, PilotStatus, arm_of, status_of

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
SHARES = st.floats(0, 1)


@given(pilot=st.uuids(), driver=st.uuids(), cohort=SHARES, more=SHARES)
def test_a_drivers_lot_stays_and_a_larger_cohort_keeps_who_was_in_it(
    pilot: uuid.UUID, driver: uuid.UUID, cohort: float, more: float
) -> None:
    arm = arm_of(pilot, driver, cohort, 1 - cohort)
    assert arm is arm_of(pilot, driver, cohort, 1 - cohort)
    if arm is PilotArm.COHORT and more >= cohort:
        assert arm_of(pilot, driver, more, 0) is PilotArm.COHORT


def test_shares_are_kept_and_pilots_draw_for_themselves() -> None:
    drivers = [uuid.UUID(int=number) for number in range(4000)]
    first = [arm_of(uuid.UUID(int=1), driver, 0.3, 0.2) for driver in drivers]
    assert abs(first.count(PilotArm.COHORT) / 4000 - 0.3) < 0.03
    assert abs(first.count(PilotArm.CONTROL) / 4000 - 0.2) < 0.03
    second = [arm_of(uuid.UUID(int=2), driver, 0.3, 0.2) for driver in drivers]
    both = sum(a is b is PilotArm.COHORT for a, b in zip(first, second, strict=True))
    assert abs(both / 4000 - 0.09) < 0.03


def test_a_killed_pilot_stays_killed_past_its_end() -> None:
    start, end = NOW - HOUR, NOW + HOUR
    assert status_of(start, end, None, NOW) is PilotStatus.RUNNING
    assert status_of(start, end, None, start - HOUR) is PilotStatus.SCHEDULED
    assert status_of(start, end, None, end) is PilotStatus.ENDED
    assert status_of(start, end, NOW, end + HOUR) is PilotStatus.KILLED
