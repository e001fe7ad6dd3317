from collections.abc import Callable
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from flexlive.realtime import hub as hub_module
from flexlive.realtime.hub import FAN_OUT_CHUNK_SUBSCRIBERS, Hub, HubFact


class Loop:
    """Callbacks of one turn run together, like an event loop's."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []
        self.turns = 0

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.waiting.append(callback)

    def run(self) -> None:
        while self.waiting:
            self.turns += 1
            now, self.waiting = self.waiting, []
            for callback in now:
                callback()


class Reader:
    def __init__(self, fails: bool = False) -> None:
        self.got: list[int] = []
        self.fails = fails

    def deliver(self, fact: HubFact, /) -> None:
        self.got.append(fact.stream_seq)
        if self.fails:
            raise RuntimeError("a bad reader")


def fact(number: int) -> HubFact:
    return HubFact("track.delivered", number, datetime(2026, 5, 1, tzinfo=UTC))


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=60), st.integers(1, 700))
def test_every_subscriber_sees_its_channel_in_order_and_once(plan: list[tuple[int, bool]], readers_count: int):
    loop = Loop()
    hub = Hub(loop.call_soon)
    readers = [Reader() for _ in range(readers_count)]
    for index, reader in enumerate(readers):
        hub.subscribe(f"c{index % 3}", reader)
    expected: list[list[int]] = [[], [], []]
    for number, (channel, turn) in enumerate(plan):
        hub.publish(f"c{channel}", fact(number))
        expected[channel].append(number)
        if turn:
            loop.run()
    loop.run()
    for index, reader in enumerate(readers):
        assert reader.got == expected[index % 3]


def test_a_lone_reader_does_not_wait_for_a_turn():
    loop = Loop()
    hub, reader = Hub(loop.call_soon), Reader()
    hub.subscribe("c", reader)
    assert hub.publish("c", fact(1)) == 1
    assert reader.got == [1]


def test_a_large_fan_out_yields_between_chunks_even_when_many_are_published_at_once():
    loop = Loop()
    hub = Hub(loop.call_soon)
    readers = [Reader() for _ in range(FAN_OUT_CHUNK_SUBSCRIBERS)]
    for reader in readers:
        hub.subscribe("c", reader)
    for number in range(10):
        hub.publish("c", fact(number))
    assert sum(len(reader.got) for reader in readers) == FAN_OUT_CHUNK_SUBSCRIBERS
    loop.run()
    assert all(reader.got == list(range(10)) for reader in readers)
    assert loop.turns >= 10


def test_beyond_its_bound_the_queue_is_emptied_on_the_spot(monkeypatch: object):
    loop = Loop()
    hub = Hub(loop.call_soon)
    reader = Reader()
    hub.subscribe("c", reader)
    published = hub_module.FAN_OUT_QUEUED_MAX + 10
    for number in range(published):
        hub.publish("c", fact(number))
    assert len(reader.got) > hub_module.FAN_OUT_QUEUED_MAX
    loop.run()
    assert reader.got == list(range(published))


def test_a_failing_subscriber_fails_alone():
    hub = Hub(Loop().call_soon)
    bad, good = Reader(fails=True), Reader()
    hub.send([bad, good], fact(1))
    assert good.got == [1]


def test_unsubscribed_means_gone_and_channels_are_forgotten():
    loop = Loop()
    hub, reader = Hub(loop.call_soon), Reader()
    hub.subscribe("c", reader)
    hub.subscribe("c", reader)
    hub.publish("c", fact(1))
    hub.unsubscribe("c", reader)
    hub.unsubscribe("c", reader)
    assert hub.publish("c", fact(2)) == 0
    loop.run()
    assert reader.got == [1]
    assert hub.channel_count() == 0
