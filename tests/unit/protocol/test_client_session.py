import msgspec
import pytest

from flexlive.protocol import driver
from flexlive.protocol.client_session import (
    Answered,
    Applied,
    ClientSession,
    CloseSocket,
    Opened,
    PendingFull,
    Violation,
)
from flexlive.protocol.codec import encode_result, encode_server
from tests.unit.protocol.phone_frames import (
    OFFER,
    ROUTE,
    accept,
    fact,
    feed,
    hello,
    offer_body,
    sent,
    snapshot,
    welcome,
)


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


def test_resume_continues_exactly_where_it_stopped(live: ClientSession):
    feed(live, fact(1))
    live.lost(2)
    assert hello(live, 3).resume == driver.Resume(sid="s", epoch="e", seq=1)
    frames = (encode_server(driver.Resumed(from_=1, to=2)), fact(2, "skip", b"{}"), encode_server(driver.Live()))
    assert feed(live, *frames)[-1] == Opened(resumed=True)
    assert OFFER in live.state.offers


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


def presence(cmd: str, mode: driver.PresenceMode = "online") -> driver.PresenceSet:
    return driver.PresenceSet(cmd=cmd, mode=mode)


def test_commands_go_out_one_after_another_and_answers_to_offers_overtake(live: ClientSession):
    assert sent(live.command(presence("a"), 1)) == [presence("a")]
    assert live.command(presence("b"), 1) == []
    assert sent(live.command(accept("c"), 1)) == [accept("c")]
    assert sent(feed(live, encode_result("c", ok=True, code="won"))) == []
    assert sent(feed(live, encode_result("a", ok=True, code="ok"))) == [presence("b")]


def test_a_refused_command_is_not_passed_by_the_next(live: ClientSession):
    live.command(presence("a"), 1)
    live.command(presence("b"), 1)
    refused = encode_result("a", ok=False, code="rate_limited", retry_after_ms=500)
    assert not any(isinstance(effect, Answered) for effect in feed(live, refused))
    assert live.next_deadline == 1.5
    assert sent(live.tick(1.4)) == []
    assert sent(live.tick(1.5)) == [presence("a")]


def test_a_command_refused_too_often_is_the_apps_to_decide(live: ClientSession):
    live.command(presence("a"), 1)
    answers: list[Answered] = []
    attempt = 0
    for attempt in range(10):
        refused = encode_result("a", ok=False, code="rate_limited", retry_after_ms=500)
        answers += [e for e in feed(live, refused, now=2.0 + attempt) if isinstance(e, Answered)]
        live.tick(2.5 + attempt)
        if answers:
            break
    assert attempt == 5
    assert answers[0].result.code == "rate_limited"
    assert live.pending == {}


def test_an_answer_that_does_not_come_is_asked_for_again_and_then_the_socket_is_given_up(live: ClientSession):
    live.command(presence("a"), 1)
    assert sent(live.tick(5.9)) == []
    times: list[float] = []
    now = 5.0
    while True:
        now = live.next_deadline
        feed(live, b'{"type":"heartbeat"}', now=now)
        effects = live.tick(now)
        if any(isinstance(effect, CloseSocket) for effect in effects):
            break
        if presence("a") in sent(effects):
            times.append(now)
    assert len(times) == 3
    assert times == sorted(times)
    assert times[0] >= 6
    live.lost(now)
    assert hello(live, now).unacked == ("a",)


def test_a_queue_goes_out_at_the_pace_the_server_allows(live: ClientSession):
    for number in range(30):
        live.command(presence(str(number)), 1)
    now, sent_at = 1.0, [1.0]
    while live.pending:
        effects = feed(live, encode_result(next(iter(live.pending)), ok=True, code="ok"), now=now)
        while live.pending and not sent(effects):
            now = live.next_deadline
            effects = live.tick(now)
        sent_at.append(now)
    assert sum(at == 1.0 for at in sent_at) == 10
    assert now >= 1 + 20 / 2


def test_an_answer_may_come_twice_but_not_as_another(live: ClientSession):
    live.command(presence("a"), 1)
    answer = encode_result("a", ok=True, code="ok")
    feed(live, answer)
    assert feed(live, answer) == []
    assert feed(live, encode_result("a", ok=False, code="rate_limited", retry_after_ms=1)) == []
    assert isinstance(feed(live, encode_result("a", ok=False, code="conflict"))[0], Violation)


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
