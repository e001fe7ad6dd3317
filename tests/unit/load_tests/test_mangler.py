"""The bad link does what it says, and no more."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from load_tests.frames import FrameSplitter, client_text
from load_tests.mangler import LinkFaults, Mangler

FAULTS = LinkFaults()


def through(count: int, seed: int) -> tuple[list[int], Counter[str]]:
    """What comes out of so many numbered frames, some let go while more come in."""
    random, counts = Random(seed), Counter[str]()
    mangler = Mangler(FAULTS, random.random, counts)
    out: list[bytes] = []
    for number in range(count):
        out += mangler.take(str(number).encode())
        if len(mangler) and random.random() < 0.5:
            out.append(mangler.let_go())
    while len(mangler):
        out.append(mangler.let_go())
    return [int(frame) for frame in out], counts


@given(count=st.integers(0, 200), seed=st.integers())
def test_frames_are_lost_doubled_and_reordered_but_never_made_up(count: int, seed: int) -> None:
    out, counts = through(count, seed)
    came = Counter(out)
    assert all(0 <= number < count and times <= 2 for number, times in came.items())
    assert counts["frames"] == count
    assert counts["dropped"] == count - len(came)
    assert counts["duplicated"] == len(out) - len(came)


@given(count=st.integers(0, 200), seed=st.integers())
def test_a_frame_is_overtaken_by_fewer_than_the_window(count: int, seed: int) -> None:
    out, _ = through(count, seed)
    for at, number in enumerate(out):
        assert sum(earlier > number for earlier in out[:at]) < FAULTS.window_frames


def test_the_shares_are_those_of_the_faults() -> None:
    out, counts = through(20_000, 1)
    assert abs(counts["dropped"] / 20_000 - FAULTS.dropped_share) < 0.01
    assert abs(counts["duplicated"] / (20_000 - counts["dropped"]) - FAULTS.duplicated_share) < 0.01
    assert counts["reordered"] > 5_000
    assert out != sorted(out)


@given(payloads=st.lists(st.binary(max_size=70_000), max_size=6), cuts=st.lists(st.integers(0, 400_000), max_size=8))
def test_frames_are_found_wherever_the_stream_is_cut(payloads: list[bytes], cuts: list[int]) -> None:
    payloads = [payload[:65_535] for payload in payloads]
    stream = b"".join(map(client_text, payloads))
    splitter = FrameSplitter()
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    frames = [frame for a, b in pairwise(places) for frame in splitter.feed(stream[a:b])]
    assert [frame.payload for frame in frames] == payloads
    assert all(frame.whole_text for frame in frames)
