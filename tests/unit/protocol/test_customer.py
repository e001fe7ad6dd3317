"""Positions in a customer's stream, as text."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexlive.protocol.customer import format_event_id, parse_event_id


@given(st.uuids(), st.integers(0, 10**17))
def test_a_position_survives_the_trip(epoch: UUID, seq: int) -> None:
    parsed = parse_event_id(format_event_id(epoch, seq))
    assert parsed is not None
    assert (parsed.epoch, parsed.seq) == (epoch.hex, seq)


@given(st.text(max_size=80))
def test_other_text_is_no_position(text: str) -> None:
    parsed = parse_event_id(text)
    assert parsed is None or format_event_id(UUID(parsed.epoch), parsed.seq) == text


@pytest.mark.parametrize("wrong", ["{e}", "{e}-", "{e}--1", "{e}-01", "{e}-1 ", "{e}-1\n", "{e}-٣", "{e}-" + "9" * 40])
def test_near_misses(wrong: str) -> None:
    assert parse_event_id(wrong.format(e=uuid4().hex)) is None
