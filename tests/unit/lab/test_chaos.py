"""Faults at seeded moments, and how clients are judged once they have stopped."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from flexlive.domain.geography import Point
from flexlive.lab.acknowledged import answers_lost, shops_misled
from flexlive.lab.chaos import DATABASE_KILLS_MIN, LAST_SHARE, SERVER_KILLS_MIN, Victim, plan_strikes
from flexlive.lab.convergence import Convergence, Reading, page_lags, phone_lags, shop_lags
from flexlive.lab.fleet_messages import PhoneState
from flexlive.storage.audit import RouteStanding
from tests.unit.lab.test_cross_check import standing, story

ANA, BEN, ROUTE, OFFER = (UUID(int=n) for n in range(21, 25))
PHONE = PhoneState(
    market_id="m",
    driver_id=ANA,
    device_id="d",
    on_duty=True,
    connected=True,
    unanswered_since=None,
    place=Point(36, -115),
    routes={ROUTE: 3},
    offers=(),
    answers={},
)


def reading(version: int = 3, status: str = "active", driver_id: UUID = ANA, over: frozenset[UUID] = frozenset()):
    return Reading(
        routes={ROUTE: RouteStanding(ROUTE, driver_id, version, status)},
        offers_over=over,
        orders={"o1": standing("o1"), "o2": standing("o2")},
    )


@given(seconds=st.floats(1, 2000), seed=st.integers(0, 10_000))
def test_a_plan_has_enough_of_each_kill_in_order_and_is_repeatable(seconds: float, seed: int) -> None:
    plan = plan_strikes(seconds, seed)
    assert plan == plan_strikes(seconds, seed)
    moments = [strike.at_seconds for strike in plan]
    assert moments == sorted(moments)
    assert moments[0] > 0
    assert moments[-1] <= LAST_SHARE * seconds
    assert sum(strike.victim is not Victim.DATABASE for strike in plan) >= SERVER_KILLS_MIN
    assert sum(strike.victim is not Victim.SERVER for strike in plan) >= DATABASE_KILLS_MIN
    assert sum(strike.victim is Victim.MACHINE for strike in plan) == 1


@pytest.mark.parametrize(
    ("phone", "before", "after", "lag"),
    [
        (PHONE, reading(), reading(), None),
        (PHONE, reading(version=2), reading(version=9), None),
        (structs.replace(PHONE, on_duty=False, connected=False), reading(), reading(), None),
        (structs.replace(PHONE, connected=False), reading(), reading(), "no session"),
        (structs.replace(PHONE, unanswered_since=99.0), reading(), reading(), "waits for an answer"),
        (structs.replace(PHONE, unanswered_since=101.0), reading(), reading(), None),
        (structs.replace(PHONE, routes={}), reading(), reading(), "does not know its route"),
        (structs.replace(PHONE, routes={}), reading(), reading(status="completed"), None),
        (PHONE, reading(version=4), reading(version=4), "version 3 of 4"),
        (PHONE, reading(status="completed"), reading(status="completed"), "holds route"),
        (PHONE, reading(driver_id=BEN), reading(driver_id=BEN), "holds route"),
        (structs.replace(PHONE, offers=(OFFER,)), reading(over=frozenset({OFFER})), reading(), "shows offer"),
        (structs.replace(PHONE, offers=(OFFER,)), reading(), reading(over=frozenset({OFFER})), None),
    ],
)
def test_a_phone_is_in_step_or_says_what_it_lacks(
    phone: PhoneState, before: Reading, after: Reading, lag: str | None
) -> None:
    found = phone_lags(phone, before, after, quiet_since=100.0)
    assert (found is None) if lag is None else (lag in (found or ""))


def test_a_page_is_in_step_with_a_stream_and_every_fact() -> None:
    page = story("o1")
    assert page_lags(page, reading()) == "has no stream"
    page.page_connected = True
    assert page_lags(page, reading()) is None
    behind = story("o1", seq=4)
    behind.page_connected = True
    assert page_lags(behind, reading()) == "misses 1 facts"
    assert behind.page is not None
    behind.page.ended = True
    assert page_lags(behind, reading()) is None


def test_convergence_is_when_the_last_client_first_was_in_step() -> None:
    convergence = Convergence(quiet_since=100.0)
    offline, waiting = structs.replace(PHONE, connected=False), story("o1")
    waiting.created, waiting.intended_at = False, 99.0
    assert not convergence.look(101.0, [offline], [waiting], reading(), reading())
    assert len(convergence.lagging) == 2
    assert shop_lags(waiting, 98.0) is None
    waiting.created, waiting.page_connected = True, True
    assert not convergence.look(104.0, [offline], [waiting], reading(), reading())
    assert convergence.look(109.5, [PHONE], [waiting], reading(), reading())
    assert max(convergence.seconds.values()) == 9.5
    # Who has been in step may be busy again.
    assert convergence.look(110.0, [offline], [waiting], reading(), reading())


def test_answers_that_are_not_stored_as_they_were_given_are_lost() -> None:
    assert answers_lost(ANA, {"a": "1", "b": "2"}, {"a": "1", "b": "2", "c": "3"}) == []
    assert len(answers_lost(ANA, {"a": "1", "b": "2"}, {"a": "9"})) == 2


def test_what_a_shop_was_told_holds() -> None:
    stored = {"o1": standing("o1")}
    assert shops_misled([story("o1")], stored) == []
    assert "not stored" in shops_misled([story("o2")], stored)[0]
    said = story("o1")
    said.readiness = "ready"
    assert shops_misled([said], stored) == []
    assert "acknowledged as ready" in shops_misled([said], {"o1": replace(stored["o1"], readiness="preparing")})[0]
    said.cancelled = True
    assert "acknowledged as cancelled" in shops_misled([said], stored)[0]
    other = {"o1": replace(stored["o1"], delivery_id=UUID(int=77))}
    assert "was created as" in shops_misled([story("o1")], other)[0]
