"""What a phone that does not read costs."""

from __future__ import annotations

from flexlive.protocol.codec import FactTemplate, fact_template, splice_seq
from flexlive.web.edge import ConnectionOptions
from flexlive.web.frame_transport import FrameReceiver
from flexlive.web.outbound import STATES_MAX, Outbound

OPTIONS = ConnectionOptions(state_buffer_bytes_max=100, send_buffer_bytes_max=400)


class Tap:
    """A link of which the phone has taken `taken` bytes."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.taken = 0
        self.stalled = 0.0

    def send(self, payload: bytes) -> None:
        self.sent.append(payload)

    def send_fact(self, template: FactTemplate, seq: int) -> None:
        self.send(splice_seq(template, seq))

    def buffered_bytes(self) -> int:
        return sum(map(len, self.sent)) - self.taken

    def stalled_seconds(self) -> float:
        return self.stalled

    def close(self, code: int, reason: str) -> None:
        raise AssertionError

    async def run(self, receiver: FrameReceiver) -> None:
        raise AssertionError

    def drain(self) -> None:
        self.taken += self.buffered_bytes()


def test_states_are_sent_at_once_while_the_phone_keeps_up() -> None:
    tap = Tap()
    outbound = Outbound(tap, OPTIONS)
    outbound.state("eta", b"1")
    assert outbound.flush()
    assert not outbound.flush()
    assert tap.sent == [b"1"]


def test_states_wait_behind_a_slow_phone_and_only_the_newest_of_each_is_sent() -> None:
    tap = Tap()
    outbound = Outbound(tap, OPTIONS)
    assert outbound.send(b"x" * 101)
    for value in (b"1", b"2", b"3"):
        outbound.state("eta", value)
        outbound.state("queue", b"q" + value)
        assert not outbound.flush()
    assert len(tap.sent) == 1
    tap.drain()
    assert outbound.flush()
    assert tap.sent[1:] == [b"3", b"q3"]


def test_states_that_wait_are_bounded() -> None:
    tap = Tap()
    outbound = Outbound(tap, OPTIONS)
    for number in range(STATES_MAX + 5):
        outbound.state(str(number), b"%d" % number)
    outbound.flush()
    assert tap.sent == [b"%d" % number for number in range(5, STATES_MAX + 5)]


def test_a_buffer_beyond_its_bound_ends_the_connection_whatever_filled_it() -> None:
    outbound = Outbound(Tap(), OPTIONS)
    assert outbound.send(b"x" * 300)
    assert not outbound.send_fact(fact_template("skip", b"{}"), 1) or outbound.send(b"x" * 10)
    assert not outbound.send(b"x" * 200)


def test_a_snapshot_may_be_large_but_buys_no_room_for_more() -> None:
    tap = Tap()
    outbound = Outbound(tap, OPTIONS)
    assert outbound.send_snapshot(b"x" * 1_000)
    assert outbound.send(b"x" * 300)
    assert not outbound.send(b"x" * 200)
    tap.drain()
    assert outbound.send(b"x" * 300)
    assert not outbound.send(b"x" * 200)


def test_a_phone_that_takes_nothing_for_ten_seconds_is_let_go() -> None:
    tap = Tap()
    outbound = Outbound(tap, ConnectionOptions())
    tap.stalled = 9.9
    assert not outbound.stalled()
    tap.stalled = 10.0
    assert outbound.stalled()
