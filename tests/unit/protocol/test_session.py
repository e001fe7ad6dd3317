from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexlive.protocol import driver
from flexlive.protocol.close_codes import CloseCode
from flexlive.protocol.codec import decode_server, encode_client
from flexlive.protocol.session import (
    Acked,
    Begin,
    Close,
    Phase,
    Reachable,
    Run,
    Send,
    ServerSession,
    SessionLimits,
    Signal,
)

ID = UUID("0198f000-0000-7000-8000-000000000001")
HELLO = encode_client(driver.Hello(app_version="1", device_id="d"))
BEAT = encode_client(driver.Heartbeat())
LIMITS = SessionLimits()


def accept(cmd: str) -> bytes:
    return encode_client(driver.OfferAccept(cmd=cmd, offer_id=ID, offer_version=1))


def live(limits: SessionLimits = LIMITS, now: float = 0.0) -> ServerSession:
    session = ServerSession(now, limits)
    session.received(HELLO, now)
    session.went_live(now, phase_seconds=0)
    return session


def test_the_path_from_hello_to_live():
    session = ServerSession(0, LIMITS)
    (begin,) = session.received(HELLO, 1)
    assert begin == Begin(driver.Hello(app_version="1", device_id="d"))
    assert session.phase is Phase.OPENING
    session.went_live(2, phase_seconds=0)
    assert session.phase is Phase.LIVE


@pytest.mark.parametrize("frame", [BEAT, accept("c")])
def test_anything_before_hello_is_a_violation(frame: bytes):
    session = ServerSession(0, LIMITS)
    (close,) = session.received(frame, 0)
    assert close == Close(CloseCode.PROTOCOL_VIOLATION, "the first frame is hello")
    assert session.received(HELLO, 0) == []


def test_a_hello_that_comes_twice_is_a_repeating_link():
    assert live().received(HELLO, 1) == []


def test_another_hello_is_a_violation():
    (close,) = live().received(HELLO.replace(b"{", b"{ ", 1) if isinstance(HELLO, bytes) else "{ " + HELLO[1:], 1)
    assert isinstance(close, Close)
    assert close.code is CloseCode.PROTOCOL_VIOLATION


def test_hello_has_a_deadline_after_which_the_phone_may_come_back():
    session = ServerSession(10, LIMITS)
    assert session.tick(14.9, None) == []
    assert session.tick(15, None) == [Close(CloseCode.HEARTBEAT_MISSED, "no hello")]
    assert session.phase is Phase.CLOSED


def test_commands_run_and_acks_ride_on_any_frame():
    session = live()
    command = driver.OfferAccept(cmd="c", offer_id=ID, offer_version=1, ack=7)
    assert session.received(encode_client(command), 1) == [Acked(7), Run(command)]
    assert session.received(encode_client(driver.Ack(seq=9)), 1) == [Acked(9)]
    assert session.received(encode_client(driver.Heartbeat(ack=10)), 1) == [Acked(10)]
    assert session.received(encode_client(driver.Sync()), 1) == [Signal(driver.Sync())]


def test_five_bad_frames_end_it_and_each_is_told():
    session = live()
    for _ in range(4):
        (error,) = session.received(b"{", 1)
        assert isinstance(error, Send)
        assert isinstance(decode_server(error.data), driver.Error)
    effects = session.received(b"{", 1)
    assert [type(effect) for effect in effects] == [Send, Close]
    assert effects[1] == Close(CloseCode.BAD_FRAMES, "5 bad frames")
    assert session.received(accept("c"), 1) == []


def test_an_invalid_command_gets_its_one_result_and_is_no_bad_frame():
    session = live()
    for count in range(8):
        (answer,) = session.received(b'{"type":"offer.accept","cmd":"c%d"}' % count, 1)
        assert isinstance(answer, Send)
        assert decode_server(answer.data) == driver.Result(cmd=f"c{count}", ok=False, code="invalid")


def test_a_burst_is_answered_rate_limited_with_when_to_retry():
    session = live()
    effects = [session.received(accept(f"c{count}"), 1)[0] for count in range(LIMITS.commands_burst + 1)]
    assert all(isinstance(effect, Run) for effect in effects[:-1])
    refusal = effects[-1]
    assert isinstance(refusal, Send)
    result = decode_server(refusal.data)
    assert isinstance(result, driver.Result)
    assert (result.code, result.ok) == ("rate_limited", False)
    assert result.retry_after_ms is not None
    again_at = 1 + result.retry_after_ms / 1000
    assert isinstance(session.received(accept("again"), again_at)[0], Run)


def test_who_goes_on_regardless_is_closed_4029():
    session = live()
    codes: list[CloseCode] = []
    for count in range(200):
        for effect in session.received(accept(f"c{count}"), 1):
            if isinstance(effect, Close):
                codes.append(effect.code)
    assert codes == [CloseCode.RATE_LIMITED]


def test_locations_have_a_limit_of_their_own():
    session = live()
    ping = encode_client(driver.Location(points=()))
    signals = [effect for _ in range(500) for effect in session.received(ping, 1) if isinstance(effect, Signal)]
    assert len(signals) == LIMITS.frames_burst
    assert session.phase is Phase.CLOSED


@given(st.lists(st.floats(0.0, 1.0), max_size=200), st.integers(1, 20), st.integers(1, 300))
def test_never_more_commands_than_the_bucket_allows(gaps: list[float], burst: int, per_minute: int):
    session = live(replace(LIMITS, commands_burst=burst, commands_per_minute=per_minute, refusals_per_minute_max=1000))
    now, ran = 0.0, 0
    for count, gap in enumerate(gaps):
        now += gap
        ran += sum(isinstance(effect, Run) for effect in session.received(accept(f"c{count}"), now))
        assert ran <= burst + now * per_minute / 60 + 1e-6


def test_heartbeats_are_sent_when_nothing_else_was_and_any_frame_counts():
    session = live()
    session.received(BEAT, 20)
    assert session.tick(24.9, None) == []
    (beat,) = session.tick(25, None)
    assert isinstance(beat, Send)
    assert decode_server(beat.data) == driver.ServerHeartbeat()
    session.wrote(25)
    assert session.tick(49, None) == []


def test_two_heartbeats_missed_close_4009():
    session = live()
    session.received(accept("c"), 10)
    assert not any(isinstance(effect, Close) for effect in session.tick(59.9, None))
    assert session.tick(60, None) == [Close(CloseCode.HEARTBEAT_MISSED, "nothing heard")]


def test_a_phone_that_leaves_facts_unacknowledged_is_unreachable_until_it_has_caught_up():
    session = live()
    assert session.tick(12.9, 10) == []
    assert session.tick(13, 10) == [Reachable(reachable=False)]
    assert session.tick(14, 10) == []
    assert session.acked(14.5, 11) == []
    assert session.acked(14.5, 12) == [Reachable(reachable=True)]
    assert session.acked(14.6, None) == []


def test_a_fact_unacked_for_15_s_while_later_frames_went_out_closes_4008():
    session = live()
    session.wrote(10)
    session.received(BEAT, 24)
    assert session.tick(24.9, 10) == [Reachable(reachable=False)]
    assert session.tick(25, 10) == [], "nothing was written after the fact: the phone may not have had a reason to ack"
    session.wrote(20)
    assert session.tick(25, 10) == [Close(CloseCode.SLOW_CONSUMER, "facts unacknowledged")]


def test_a_closed_session_says_nothing_more():
    session = live()
    assert session.close(CloseCode.REPLACED, "x") == [Close(CloseCode.REPLACED, "x")]
    assert session.close(CloseCode.INTERNAL, "y") == []
    assert session.received(accept("c"), 1) == []
    assert session.tick(1000, 0) == []
    assert session.drain(5) == []
