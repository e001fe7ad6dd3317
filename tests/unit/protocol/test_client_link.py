"""What a link does to the server's frames, and what a phone makes of it."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexlive.protocol import driver
from flexlive.protocol.client_session import (
    Applied,
    ClientSession,
    CloseSocket,
    Opened,
    Violation,
)
from flexlive.protocol.codec import encode_server
from flexlive.protocol.early_messages import EARLY_FACTS_MAX, EARLY_SECONDS_MAX
from tests.unit.protocol.phone_frames import OFFER, fact, feed, hello, snapshot, waited, welcome


@pytest.fixture
def live() -> ClientSession:
    session = ClientSession(app_version="1", device_id="d")
    session.open(None, 0)
    feed(session, welcome(), snapshot())
    return session


def test_a_fact_that_came_before_changes_nothing(live: ClientSession):
    feed(live, fact(1), fact(2, "offer.gone", msgspec.json.encode({"offer_id": OFFER, "reason": "taken"})))
    assert feed(live, fact(1), fact(2, "skip", b"{}")) == []
    assert live.seq == 2
    assert live.state.offers == {}


def test_a_hole_ends_the_socket_and_the_next_hello_asks_for_what_is_missing(live: ClientSession):
    feed(live, fact(1))
    effects = waited(live, fact(3, "skip", b"{}"))
    assert [type(effect) for effect in effects] == [Violation, CloseSocket]
    assert feed(live, fact(2, "skip", b"{}")) == []
    live.lost(2)
    assert hello(live).resume == driver.Resume(sid="s", epoch="e", seq=1)


def test_holes_without_progress_ask_for_everything(live: ClientSession):
    for _ in range(3):
        waited(live, fact(2, "skip", b"{}"))
        live.lost(2)
        hello(live, 3)
        feed(live, encode_server(driver.Resumed(from_=0, to=2)))
    assert hello(live, 4).resume is None


@pytest.mark.parametrize("lost", [0, 1])
def test_an_opening_of_which_a_frame_was_lost_is_not_believed(lost: int):
    session = ClientSession(app_version="1", device_id="d")
    session.open(None, 0)
    frames = [welcome(), snapshot(), fact(1)]
    del frames[lost]
    assert any(isinstance(effect, CloseSocket) for effect in waited(session, *frames))
    assert not any(isinstance(effect, Opened) for effect in feed(session, *frames))


def test_an_opening_that_does_not_come_about_is_given_up():
    session = ClientSession(app_version="1", device_id="d", opening_seconds_max=15)
    session.open(None, 0)
    assert session.next_deadline == 15
    assert session.tick(14) == []
    assert isinstance(session.tick(15)[0], CloseSocket)


def test_what_opened_the_session_may_come_again(live: ClientSession):
    feed(live, fact(1))
    again = (welcome(), snapshot(), encode_server(driver.Live()), encode_server(driver.Resumed(from_=0, to=1)))
    assert feed(live, *again) == []
    assert live.seq == 1
    assert OFFER in live.state.offers


@pytest.mark.parametrize("frames", [
    (encode_server(driver.Resumed(from_=0, to=2)),),
    (encode_server(driver.Resumed(from_=1, to=3)), fact(2, "skip", b"{}"), encode_server(driver.Live())),
])  # fmt: skip
def test_a_partial_replay_is_a_violation(live: ClientSession, frames: tuple[bytes, ...]):
    feed(live, fact(1))
    live.lost(2)
    live.open(None, 3)
    assert isinstance(waited(live, *frames, now=3)[-1], CloseSocket)


def test_what_comes_before_its_turn_waits_for_it(live: ClientSession):
    assert feed(live, fact(3, "skip", b"{}"), fact(2, "skip", b"{}"), now=10) == []
    assert live.next_deadline == 10 + EARLY_SECONDS_MAX
    assert [effect.message.seq for effect in feed(live, fact(1), now=10.9) if isinstance(effect, Applied)] == [1, 2, 3]
    assert not any(isinstance(effect, CloseSocket) for effect in live.tick(20))


def test_a_gap_that_closes_gives_the_next_one_its_own_time(live: ClientSession):
    feed(live, fact(2, "skip", b"{}"), fact(4, "skip", b"{}"), now=10)
    feed(live, fact(1), now=10.8)
    assert not any(isinstance(effect, CloseSocket) for effect in live.tick(11.7))
    assert isinstance(live.tick(11.8)[-1], CloseSocket)


def test_more_than_a_server_keeps_is_no_matter_of_order(live: ClientSession):
    early = [fact(seq, "skip", b"{}") for seq in range(2, EARLY_FACTS_MAX + 2)]
    assert feed(live, *early) == []
    assert isinstance(feed(live, fact(EARLY_FACTS_MAX + 2, "skip", b"{}"))[-1], CloseSocket)


@given(order=st.permutations(range(4)))
def test_an_opening_may_come_in_any_order(order: list[int]):
    session = ClientSession(app_version="1", device_id="d")
    session.open(None, 0)
    frames = [welcome(), snapshot(), fact(1), fact(2, "skip", b"{}")]
    effects = feed(session, *(frames[at] for at in order))
    assert [effect for effect in effects if isinstance(effect, Opened)] == [Opened(resumed=False)]
    assert session.seq == 2


@given(order=st.permutations(range(4)))
def test_a_replay_may_come_in_any_order(order: list[int]):
    session = ClientSession(app_version="1", device_id="d")
    session.open(None, 0)
    feed(session, welcome(), snapshot())
    session.lost(2)
    session.open(None, 3)
    frames = [
        encode_server(driver.Resumed(from_=0, to=2)),
        fact(1),
        fact(2, "skip", b"{}"),
        encode_server(driver.Live()),
    ]
    effects = feed(session, *(frames[at] for at in order), now=3)
    assert [effect for effect in effects if isinstance(effect, Opened)] == [Opened(resumed=True)]
    assert session.seq == 2
    assert OFFER in session.state.offers
