"""Splitting an event stream as the standard says."""

from __future__ import annotations

import pytest

from flexlive.lab.sse import EVENT_LINES_MAX, EventStreamError, EventStreamParser
from flexlive.lab.track_history import ServerSentEvent


def parse(text: str) -> list[ServerSentEvent]:
    parser = EventStreamParser()
    return [event for line in text.split("\n") if (event := parser.line(line)) is not None]


def test_an_event_has_name_data_and_its_own_id_only() -> None:
    assert parse("id: e-4\nevent: fact\ndata: {}\n\nevent: eta\ndata: 1\n\n") == [
        ServerSentEvent("fact", "{}", "e-4"),
        ServerSentEvent("eta", "1", None),
    ]


def test_comments_unknown_fields_and_empty_events_are_nothing() -> None:
    assert parse(": hb\n\nretry: 5\n\nevent: lonely\n\n\n") == []


def test_data_lines_are_joined_and_one_space_is_taken_off() -> None:
    assert parse("data:  a\ndata:b\n\n") == [ServerSentEvent("message", " a\nb", None)]


def test_a_name_does_not_leak_into_the_next_event() -> None:
    assert parse("event: fact\n\ndata: x\n\n") == [ServerSentEvent("message", "x", None)]


def test_an_endless_event_is_refused() -> None:
    parser = EventStreamParser()
    for _ in range(EVENT_LINES_MAX):
        parser.line("data: x")
    with pytest.raises(EventStreamError):
        parser.line("data: x")
