from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

from flexlive.protocol import driver
from flexlive.protocol.client_session import (
    Answered,
    Applied,
    ClientSession,
    CloseSocket,
    Effect,
    Opened,
    PendingFull,
    SendFrame,
    Violation,
)
from flexlive.protocol.codec import decode_client, encode_result, encode_server, fact_template, splice_seq

OFFER = UUID("0198f000-0000-7000-8000-000000000001")
ROUTE = UUID("0198f000-0000-7000-8000-000000000002")
NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
LIMITS = driver.Limits(
    frame_bytes_max=1, points_max=1, commands_burst_per_second=1, commands_per_minute=1, ack_delay_seconds_max=1
)


def offer_body(version: int = 1) -> bytes:
    return msgspec.json.encode(
        {
            "offer_id": OFFER, "offer_version": version, "offer_type": "retail_delivery", "shape": "on_demand",
            "site": {"id": ROUTE, "kind": "mall", "name": "M", "entrance": {"name": "E", "lat": 1, "lon": 1}},
            "stores": [], "delivery_count": 1, "package_count": 1, "dropoff_cells": [], "rule": "first",
            "pay": {"base_cents": 1, "tip_cents": 0, "wait_rate_cents_per_minute": 0, "currency": "USD"},
            "estimate": {"drive_seconds": 1, "walk_seconds": 1, "wait_seconds": 1, "distance_m": 1},
            "opened_at": NOW, "valid_until": NOW,
        }
    )  # fmt: skip


def fact(seq: int, type_: str = "offer.open", body: bytes | None = None) -> bytes:
    return splice_seq(fact_template(type_, body if body is not None else offer_body()), seq)


def welcome(**changes: object) -> bytes:
    fields: dict[str, object] = {
        "sid": "s", "epoch": "e", "seq": 0, "server_time": NOW, "heartbeat_seconds": 25.0,
        "resume_window_seconds": 120.0, "limits": LIMITS,
    }  # fmt: skip
    return encode_server(driver.Welcome(**(fields | changes)))  # pyright: ignore[reportArgumentType]


def snapshot(seq: int = 0) -> bytes:
    return encode_server(driver.Snapshot(seq=seq, presence="online", routes=(), offers=()))


def accept(cmd: str) -> driver.OfferAccept:
    return driver.OfferAccept(cmd=cmd, offer_id=OFFER, offer_version=1)


def feed(session: ClientSession, *frames: bytes, now: float = 1.0, delay: float = 0.5) -> list[Effect]:
    return [effect for frame in frames for effect in session.received(frame, now, delay)]


def sent(effects: Sequence[Effect]) -> list[object]:
    return [decode_client(effect.data) for effect in effects if isinstance(effect, SendFrame)]


def hello(session: ClientSession, now: float = 0.0) -> driver.Hello:
    message = decode_client(session.open(None, now))
    assert isinstance(message, driver.Hello)
    return message


@pytest.fixture
def live() -> ClientSession:
    session = ClientSession(app_version="1", device_id="d")
    session.open(None, 0)
    feed(session, welcome(), snapshot())
    return session


def test_the_first_hello_asks_for_nothing_and_a_snapshot_opens():
    session = ClientSession(app_version="1", device_id="d")
    assert hello(session).resume is None
    assert [type(effect) for effect in feed(session, welcome(), snapshot())] == [Applied, Applied, Opened]
    assert session.state.presence == "online"


def test_facts_are_applied_and_acknowledged_once_for_all_after_the_delay(live: ClientSession):
    feed(live, fact(1), now=10, delay=0.4)
    feed(live, fact(2, "offer.update", offer_body(2)), now=10.2, delay=0.9)
    assert live.state.offers[OFFER].offer_version == 2
    assert live.tick(10.3) == []
    assert live.next_deadline == 10.4
    assert sent(live.tick(10.4)) == [driver.Ack(seq=2)]
    assert live.tick(11.5) == []


def test_a_ping_carries_the_ack_that_is_due(live: ClientSession):
    feed(live, fact(1), now=10)
    assert sent(live.signal(driver.Location(points=()), 10.1)) == [driver.Location(points=(), ack=1)]
    assert live.tick(11) == []


@pytest.mark.parametrize("seq", [0, 2, 3])
def test_a_gap_or_a_repeat_is_a_violation_and_the_next_hello_asks_for_everything(live: ClientSession, seq: int):
    feed(live, fact(1, "skip", b"{}"))
    effects = feed(live, fact(seq if seq != 2 else 1, "skip", b"{}"))
    assert [type(effect) for effect in effects] == [Violation, CloseSocket]
    live.lost(2)
    assert hello(live).resume is None


def test_resume_continues_exactly_where_it_stopped(live: ClientSession):
    feed(live, fact(1))
    live.lost(2)
    assert hello(live, 3).resume == driver.Resume(sid="s", epoch="e", seq=1)
    frames = (encode_server(driver.Resumed(from_=1, to=2)), fact(2, "skip", b"{}"), encode_server(driver.Live()))
    assert feed(live, *frames)[-1] == Opened(resumed=True)
    assert OFFER in live.state.offers


@pytest.mark.parametrize("frames", [
    (encode_server(driver.Resumed(from_=0, to=2)),),
    (encode_server(driver.Resumed(from_=1, to=3)), fact(2, "skip", b"{}"), encode_server(driver.Live())),
])  # fmt: skip
def test_a_partial_replay_is_a_violation(live: ClientSession, frames: tuple[bytes, ...]):
    feed(live, fact(1))
    live.lost(2)
    live.open(None, 3)
    assert isinstance(feed(live, *frames)[-1], CloseSocket)


def test_a_reset_forgets_what_was_known(live: ClientSession):
    feed(live, fact(1))
    live.lost(2)
    live.open(None, 3)
    reset = msgspec.json.encode(msgspec.json.decode(welcome()) | {"type": "reset", "reason": "other_epoch"})
    assert feed(live, reset, snapshot())[-1] == Opened(resumed=False)
    assert live.state.offers == {}
    assert live.seq == 0


def test_commands_wait_for_their_answer_across_connections_under_the_same_cmd(live: ClientSession):
    assert sent(live.command(accept("a"), 1)) == [accept("a")]
    live.command(accept("b"), 1)
    live.lost(2)
    assert live.command(accept("c"), 2) == []
    greeting = hello(live, 3)
    assert greeting.unacked == ("a", "b", "c")
    stored = msgspec.Raw(encode_result("a", ok=False, code="taken"))
    effects = feed(live, welcome(results=(stored,), unknown_commands=("b", "c")), snapshot())
    assert [effect.result.code for effect in effects if isinstance(effect, Answered)] == ["taken"]
    assert sent(effects) == [accept("b"), accept("c")]
    (answer,) = [e for e in feed(live, encode_result("b", ok=True, code="won")) if isinstance(e, Answered)]
    assert answer.result.ok
    assert list(live.pending) == ["c"]


def test_pending_commands_are_bounded(live: ClientSession):
    for count in range(driver.UNACKED_CMDS_MAX):
        live.command(accept(str(count)), 1)
    with pytest.raises(PendingFull):
        live.command(accept("one more"), 1)


def test_the_answer_to_an_accept_settles_the_offer_before_any_fact(live: ClientSession):
    feed(live, fact(1))
    live.command(accept("a"), 1)
    feed(live, encode_result("a", ok=True, code="won"))
    assert live.state.offers == {}


def test_an_answer_nobody_asked_for_is_a_violation(live: ClientSession):
    assert isinstance(feed(live, encode_result("zz", ok=True, code="won"))[-1], Violation)


def test_what_a_later_server_adds_is_ignored(live: ClientSession):
    assert feed(live, b'{"type":"mood","x":1}') == []
    assert isinstance(feed(live, b'{"type":"heartbeat","x":1}')[0], Applied)
    assert isinstance(feed(live, b"nonsense")[0], Violation)


def test_it_beats_when_idle_and_gives_up_on_silence(live: ClientSession):
    assert live.next_deadline == 25
    assert sent(live.tick(25)) == [driver.Heartbeat()]
    (close,) = live.tick(1 + 50)
    assert isinstance(close, CloseSocket)
    live.lost(51)
    assert live.next_deadline == float("inf")


def test_route_facts_are_idempotent_and_an_ended_route_is_gone(live: ClientSession):
    def route(version: int, status: str) -> bytes:
        return msgspec.json.encode({"route_id": ROUTE, "version": version, "status": status, "stops": []})

    feed(live, fact(1, "route.update", route(2, "active")), fact(2, "route.update", route(1, "active")))
    assert live.state.routes[ROUTE].version == 2
    feed(live, fact(3, "route.update", route(3, "completed")))
    assert live.state.routes == {}
