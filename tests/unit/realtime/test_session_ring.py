from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from flexlive.protocol.codec import fact_template
from flexlive.protocol.limits import RESUME_WINDOW_SECONDS, RING_BYTES_MAX, RING_FACTS_MAX
from flexlive.realtime.hub import HubFact
from flexlive.realtime.session_ring import SessionRing

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def fact(number: int, size_bytes: int = 10) -> HubFact:
    body = b'{"x":"%b"}' % (b"x" * size_bytes)
    return HubFact("notice", number, NOW, body, fact_template("notice", body))


steps = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 3_000)),
    st.tuples(st.just("ack"), st.integers(0, 200)),
    st.tuples(st.just("wait"), st.integers(1, 100)),
)


@given(st.lists(steps, max_size=200))
def test_it_holds_the_newest_unacknowledged_facts_within_its_bounds(history: list[tuple[str, int]]):
    ring, sent, acked, now = SessionRing(), list[tuple[float, HubFact]](), 0, 0.0
    for step, amount in history:
        if step == "append":
            sent.append((now, fact(len(sent) + 1, amount)))
            assert ring.append(sent[-1][1], now) == len(sent)
        elif step == "ack":
            assert ring.ack(amount) is (amount <= len(sent))
            if amount <= len(sent):
                acked = max(acked, amount)
        else:
            now += amount
        assert ring.last_seq == len(sent)
        assert acked <= ring.replayable_after <= len(sent)
        assert len(sent) - ring.replayable_after <= RING_FACTS_MAX
        kept = sent[ring.replayable_after :]
        assert sum(len(each.template.tail) for _, each in kept if each.template) <= RING_BYTES_MAX
        for seq in range(len(sent) + 2):
            expected = None
            if ring.replayable_after <= seq <= len(sent):
                expected = [(number, sent[number - 1][1]) for number in range(seq + 1, len(sent) + 1)]
            assert ring.after(seq) == expected


def test_facts_older_than_the_window_leave_with_the_next_one():
    ring = SessionRing()
    ring.append(fact(1), 0)
    ring.append(fact(2), RESUME_WINDOW_SECONDS)
    assert ring.replayable_after == 0
    ring.append(fact(3), RESUME_WINDOW_SECONDS + 1)
    assert ring.replayable_after == 1
    assert ring.oldest_at == RESUME_WINDOW_SECONDS


def test_nothing_unacknowledged_means_nothing_kept():
    ring = SessionRing()
    ring.append(fact(1), 5)
    assert ring.oldest_at == 5
    ring.ack(1)
    assert ring.oldest_at is None
    assert ring.after(1) == []
    assert ring.after(0) is None
