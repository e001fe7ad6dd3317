"""Whom to ring, over every order of coming, going, looking and showing that Hypothesis can think of."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexlive.domain import cells
from flexlive.domain.allocation.types import DriverView, OpenOfferView
from flexlive.domain.drivers import DriverState, DriverStatus, Presence, Vehicle
from flexlive.domain.geography import Point
from flexlive.domain.wake_ups import Attention, WakeRules, Wanted, audience

RULES = WakeRules(away_seconds=10, unseen_seconds=15, gone_seconds=60)
OFFER, DRIVER = UUID(int=1), UUID(int=2)
PAIR = [(OFFER, DRIVER)]
AWAY, UNSEEN = [Wanted(OFFER, DRIVER, "away")], [Wanted(OFFER, DRIVER, "unseen")]
HERE, NOBODY = frozenset({DRIVER}), frozenset[UUID]()


def looked(attention: Attention, at: float, reachable: frozenset[UUID], *, whole: bool = True) -> list[Wanted]:
    attention.look(at, reachable, whole=whole)
    return attention.judge(at, PAIR)


def test_a_phone_that_has_long_been_away_is_rung_at_the_first_look_at_the_offer() -> None:
    attention = Attention(0, RULES)
    for second in range(12):
        attention.look(second, NOBODY)
        attention.judge(second, [])
    assert looked(attention, 12, NOBODY) == AWAY


def test_a_phone_that_has_just_gone_gets_the_time_to_come_back() -> None:
    attention = Attention(0, RULES)
    for second in range(20):
        attention.look(second, HERE)
    assert [second for second in range(20, 40) if looked(attention, second, NOBODY)] == list(range(30, 40))


def test_an_offer_that_an_open_app_does_not_show_is_rung_for() -> None:
    attention = Attention(0, RULES)
    assert [looked(attention, second, HERE) for second in range(30, 45)] == [[]] * 15
    assert looked(attention, 45, HERE) == UNSEEN
    # Out of the audience for a moment, the time starts anew.
    attention.look(46, HERE)
    attention.judge(46, [])
    assert looked(attention, 47, HERE) == []


def test_nobody_counts_as_away_before_the_process_can_know() -> None:
    attention = Attention(100, RULES)
    assert [bool(looked(attention, 100 + second, NOBODY)) for second in (0, 5, 9.9)] == [False] * 3
    assert looked(attention, 110, NOBODY) == AWAY


def test_a_time_in_which_nobody_looked_or_others_were_not_heard_proves_nothing() -> None:
    attention = Attention(0, RULES)
    for second in range(20):
        attention.look(second, HERE)
    # A gap longer than it takes to come back: the database was away, or the bus.
    assert looked(attention, 60, NOBODY) == []
    assert looked(attention, 71, NOBODY) == []  # a gap again
    for second in range(72, 82):
        attention.look(second, NOBODY)
    assert looked(attention, 82, NOBODY) == AWAY
    assert looked(attention, 83, NOBODY, whole=False) == []
    # Except for whoever has given no sign of life of any kind.
    assert attention.judge(83, PAIR, gone={DRIVER}) == AWAY


@given(st.lists(st.tuples(st.floats(0.1, 4), st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_the_rules_hold_whatever_happens(steps: list[tuple[float, bool, bool]]) -> None:
    """Against the rules said plainly: away for long, or there for long without a glance."""
    attention, now = Attention(0, RULES), 0.0
    seen: list[tuple[float, bool, bool]] = []
    for elapsed, reachable, whole in steps:
        now += elapsed
        seen.append((now, reachable, whole))
        wanted = looked(attention, now, HERE if reachable else NOBODY, whole=whole)
        lately = [each for each in seen if each[0] >= now - RULES.away_seconds]
        known = now >= RULES.away_seconds and not any(
            not whole for at, _, whole in seen if at > now - RULES.away_seconds
        )
        if reachable:
            there = [at for at, _, _ in seen[len(seen) - _run(seen) :]]
            assert wanted == (UNSEEN if now - there[0] >= RULES.unseen_seconds else [])
        else:
            assert wanted == (AWAY if known and not any(each[1] for each in lately) else [])


def _run(seen: list[tuple[float, bool, bool]]) -> int:
    """How many looks in a row, up to now, found the phone."""
    return next((index for index, each in enumerate(reversed(seen)) if not each[1]), len(seen))


SITE = Point(36.1275, -115.1710)
CELL = cells.cell_of(SITE.lat, SITE.lon, 7)
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
STATE = DriverState(DRIVER, DriverStatus.ACTIVE, Presence.ONLINE, frozenset({"retail"}), Vehicle(12, 100_000, True))
OPEN = OpenOfferView(
    offer_id=OFFER, delivery_ids=(), site=SITE, site_cell=CELL, ring=0, cells=(CELL,), opened_at=NOW, widen_at=None,
    valid_until=NOW + timedelta(minutes=2), offer_type="retail",
)  # fmt: skip


@pytest.mark.parametrize(
    ("offer", "state", "cell", "expected"),
    [
        (OPEN, STATE, CELL, True),
        (OPEN, STATE, CELL + 1, False),
        (replace(OPEN, declined_by=frozenset({DRIVER})), STATE, CELL, False),
        (replace(OPEN, offer_type="other"), STATE, CELL, False),
        (replace(OPEN, pilots=frozenset({UUID(int=9)})), STATE, CELL, False),
        (replace(OPEN, package_count=40), STATE, CELL, False),
        (OPEN, replace(STATE, presence=Presence.OFFLINE), CELL, False),
        (OPEN, replace(STATE, status=DriverStatus.SUSPENDED), CELL, False),
        # Nobody is woken for what they could not take.
        (OPEN, replace(STATE, slots_used=frozenset({1})), CELL, False),
    ],
)
def test_who_an_offer_is_for(offer: OpenOfferView, state: DriverState, cell: int, expected: bool) -> None:
    driver = DriverView(state, SITE, cell, NOW)
    assert list(audience(offer, [driver])) == ([DRIVER] if expected else [])
