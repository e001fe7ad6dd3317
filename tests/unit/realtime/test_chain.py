"""The relay chain without a network: whatever the bus does, facts arrive once, in order, without a hole."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from flexlive.realtime import chain
from flexlive.realtime.chain import (
    Apply,
    ChainMessage,
    ChainReceiver,
    FactRow,
    Ignore,
    NeedRange,
    Position,
    Replaced,
)

AT = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
CLUSTER = 7_001
START = Position(0, 0)


def fact(xid: int, event_id: int, stream: str = "offer:a", seq: int | None = None, data: bytes = b"{}") -> FactRow:
    return FactRow("chandler", event_id, xid, stream, event_id if seq is None else seq, "offer.tested", AT, Raw(data))


def message(after: Position, *facts: FactRow, term: int = 1, cluster: int = CLUSTER) -> ChainMessage:
    return ChainMessage("chandler", cluster, term, after, facts[-1].position if facts else after, facts)


def messages_of(facts: list[FactRow], *, facts_max: int = 3, after: Position = START) -> list[ChainMessage]:
    return list(chain.link(message(after), facts, message_bytes_max=10_000, message_facts_max=facts_max))


@st.composite
def histories(draw: st.DrawFn) -> list[FactRow]:
    """Facts in position order, as storage/relay.py hands them out: seq and event_id rise within a stream."""
    seqs: dict[str, int] = {}
    facts: list[FactRow] = []
    xid = 10
    for event_id in range(1, draw(st.integers(1, 40)) + 1):
        xid += draw(st.integers(0, 2))
        stream = f"offer:{draw(st.sampled_from('abc'))}"
        seqs[stream] = seqs.get(stream, 0) + 1
        facts.append(fact(xid, event_id, stream, seqs[stream]))
    return facts


class TestLink:
    def test_a_message_is_exactly_its_range(self) -> None:
        facts = [fact(5, n) for n in range(1, 8)]
        linked = messages_of(facts, facts_max=3)
        assert [len(m.facts) for m in linked] == [3, 3, 1]
        assert [m.after for m in linked] == [START, linked[0].upto, linked[1].upto]
        assert [f for m in linked for f in m.facts] == facts

    def test_bytes_are_bounded_but_one_large_fact_travels_alone(self) -> None:
        facts = [fact(5, 1), fact(5, 2, data=b'"' + b"x" * 5_000 + b'"'), fact(5, 3)]
        linked = list(chain.link(message(START), facts, message_bytes_max=1_000, message_facts_max=10))
        assert [len(m.facts) for m in linked] == [1, 1, 1]

    def test_no_facts_no_message(self) -> None:
        assert messages_of([]) == []

    def test_survives_the_wire(self) -> None:
        sent = message(START, fact(5, 1, data=b'{"offer":{"cells":["87283472bffffff"]}}'))
        got = chain.decode(chain.encode(sent))
        assert bytes(got.facts[0].data) == b'{"offer":{"cells":["87283472bffffff"]}}'
        assert got.facts[0].position == Position(5, 1)
        assert (got.after, got.upto, got.term) == (sent.after, sent.upto, 1)


class TestReceiver:
    def test_in_order(self) -> None:
        receiver = ChainReceiver(START, CLUSTER)
        first, second = messages_of([fact(5, 1), fact(5, 2)], facts_max=1)
        assert receiver.on_message(first) == Apply(first.facts)
        assert receiver.on_message(second) == Apply(second.facts)
        assert receiver.position == Position(5, 2)

    def test_doubles_are_ignored(self) -> None:
        receiver = ChainReceiver(START, CLUSTER)
        only = message(START, fact(5, 1))
        receiver.on_message(only)
        assert receiver.on_message(only) == Ignore()

    def test_a_lost_message_is_read_and_what_waited_follows(self) -> None:
        receiver = ChainReceiver(START, CLUSTER)
        lost, second = messages_of([fact(5, 1), fact(6, 2)], facts_max=1)
        assert receiver.on_message(second) == NeedRange(START, Position(5, 1))
        assert receiver.gap == NeedRange(START, Position(5, 1))
        assert receiver.on_range(lost.facts, lost.upto) == lost.facts + second.facts
        assert receiver.gap is None

    def test_a_late_message_closes_the_gap_without_a_read(self) -> None:
        receiver = ChainReceiver(START, CLUSTER)
        late, second = messages_of([fact(5, 1), fact(6, 2)], facts_max=1)
        receiver.on_message(second)
        assert receiver.on_message(late) == Apply(late.facts + second.facts)
        assert receiver.on_range(late.facts, late.upto) == ()

    def test_a_sign_of_life_reveals_a_lost_message(self) -> None:
        receiver = ChainReceiver(START, CLUSTER)
        lost = message(START, fact(5, 1))
        assert receiver.on_message(message(lost.upto)) == NeedRange(START, lost.upto)
        assert receiver.on_message(message(START)) == Ignore()

    def test_a_relay_that_starts_again_further_back_overlaps(self) -> None:
        receiver = ChainReceiver(START, CLUSTER)
        facts = (fact(5, 1), fact(5, 2), fact(6, 3))
        receiver.on_message(message(START, *facts[:2]))
        assert receiver.on_message(message(START, *facts, term=2)) == Apply(facts[2:])

    def test_lower_terms_are_ignored(self) -> None:
        receiver = ChainReceiver(START, CLUSTER)
        receiver.on_message(message(START, term=4))
        assert receiver.on_message(message(START, fact(5, 1), term=3)) == Ignore(stale=True)
        assert receiver.position == START

    def test_another_clusters_positions_mean_nothing_here(self) -> None:
        receiver = ChainReceiver(START, CLUSTER)
        assert receiver.on_message(message(START, fact(5, 1), cluster=9)) == Replaced(9)
        assert receiver.position == START

    def test_what_waits_is_bounded_and_nothing_is_lost_by_it(self) -> None:
        facts = [fact(5, n) for n in range(1, 101)]
        linked = messages_of(facts, facts_max=1)
        receiver = ChainReceiver(START, CLUSTER, pending_messages_max=4)
        for late in linked[1:]:
            assert receiver.on_message(late) == NeedRange(START, linked[0].upto)
        assert list(receiver.on_range(linked[0].facts, linked[0].upto)) == facts[:5]
        assert receiver.on_message(message(linked[-1].upto)) == NeedRange(facts[4].position, linked[-1].upto)

    def test_holes_and_known_facts_are_counted(self) -> None:
        """Neither can happen while storage/events.py is the only writer; a defect must be seen."""
        receiver = ChainReceiver(START, CLUSTER)
        receiver.on_message(message(START, fact(5, 1, seq=1), fact(6, 2, seq=3), fact(7, 3, seq=2)))
        assert (receiver.holes, receiver.known) == (1, 1)

    def test_streams_tracked_are_bounded(self) -> None:
        receiver = ChainReceiver(START, CLUSTER, streams_tracked_max=2)
        facts = tuple(fact(5, n, stream=f"offer:{n}", seq=4) for n in range(1, 6))
        assert receiver.on_message(message(START, *facts)) == Apply(facts)
        assert receiver.holes == 0


class Database:
    """The model of PostgreSQL: every published range can be read again, page by page."""

    def __init__(self, facts: list[FactRow]) -> None:
        self.facts = facts

    def pages(self, after: Position, upto: Position, size: int) -> Iterator[tuple[list[FactRow], Position]]:
        rows = [f for f in self.facts if after < f.position <= upto]
        while len(rows) >= size:
            yield rows[:size], rows[size - 1].position
            rows = rows[size:]
        yield rows, upto


def mangle(messages: list[ChainMessage], seed: int, *, lost: float, doubled: float, window: int) -> list[ChainMessage]:
    chance = random.Random(seed)
    kept = [m for m in messages if chance.random() >= lost]
    kept += [m for m in kept if chance.random() < doubled]
    places = sorted(((messages.index(m) + chance.uniform(0, window), n) for n, m in enumerate(kept)))
    return [kept[n] for _, n in places]


@settings(max_examples=300, deadline=None)
@given(
    facts=histories(),
    seed=st.integers(0, 2**32),
    facts_max=st.integers(1, 4),
    restart_at=st.integers(0, 40),
    page=st.integers(1, 4),
    start_at=st.integers(0, 40),
    pending_max=st.integers(1, 8),
)
def test_any_bus_any_restart_each_fact_once_in_order(
    facts: list[FactRow], seed: int, facts_max: int, restart_at: int, page: int, start_at: int, pending_max: int
) -> None:
    """A relay publishes, dies, and its successor begins again further back; the bus loses, doubles and shuffles; range
    reads are answered late. The receiver starts at any position."""
    chance = random.Random(seed)
    messages = messages_of(facts, facts_max=facts_max)
    back = [START, *(f.position for f in facts)][min(restart_at, len(facts))]
    again = [f for f in facts if f.position > back]
    successor = chain.link(message(back, term=2), again, message_bytes_max=10_000, message_facts_max=facts_max)
    messages += list(successor)
    messages.append(message(facts[-1].position, term=2))
    start = [START, *(f.position for f in facts)][min(start_at, len(facts))]
    receiver, database, applied = ChainReceiver(start, CLUSTER, pending_messages_max=pending_max), Database(facts), []
    wire = mangle(messages, seed, lost=0.3, doubled=0.3, window=6)
    # In life the sign of life comes again and again; two are enough, for the first may not find room to wait.
    for got in [*wire, messages[-1], messages[-1]]:
        action = receiver.on_message(got)
        if isinstance(action, Apply):
            applied += action.facts
        while receiver.gap is not None and (chance.random() < 0.3 or got is messages[-1]):
            for rows, upto in database.pages(receiver.gap.after, receiver.gap.upto, page):
                applied += receiver.on_range(rows, upto)
                if receiver.gap is None:
                    break
    assert applied == [f for f in facts if f.position > start]
    assert (receiver.holes, receiver.known) == (0, 0)


@pytest.mark.parametrize("topic", [chain.facts_topic("las-vegas"), chain.wake_topic("las-vegas")])
def test_topics_are_names_a_bus_can_route(topic: str) -> None:
    assert topic.split(".")[1] == "las-vegas"
    assert topic.count(".") == 1
