import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexlive.realtime.timing_wheel import TimingWheel


@given(st.lists(st.tuples(st.floats(0, 30), st.floats(0, 40)), max_size=50))
def test_everything_comes_due_within_a_tick_after_its_delay(plan: list[tuple[float, float]]):
    wheel: TimingWheel[int] = TimingWheel(1000.0, tick_seconds=0.5, slots=64)
    now, due_at = 1000.0, dict[int, float]()
    for number, (delay, step) in enumerate(plan):
        wheel.schedule(number, delay)
        due_at[number] = now + delay
        now += step
        for item in wheel.advance(now):
            assert due_at.pop(item) <= now + 0.5
        assert all(at > now - 0.5 - 0.5 for at in due_at.values())
    for item in wheel.advance(now + 40):
        due_at.pop(item)
    assert due_at == {}


def test_a_standstill_longer_than_a_turn_loses_nothing():
    wheel: TimingWheel[str] = TimingWheel(0.0, tick_seconds=1, slots=4)
    wheel.schedule("a", 1)
    wheel.schedule("b", 3)
    assert sorted(wheel.advance(1_000_000)) == ["a", "b"]
    assert wheel.advance(1_000_001) == []


def test_delays_beyond_a_turn_are_refused():
    wheel: TimingWheel[str] = TimingWheel(0.0, tick_seconds=1, slots=4)
    with pytest.raises(ValueError):
        wheel.schedule("a", 3.1)
