"""The document shows the transcripts as they are recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden.document import block, blocks
from tests.golden.scenes import SCENES
from tests.golden.transcript import Line, Mismatch, Names, load, names

DOCUMENT = (Path(__file__).parents[2] / "docs" / "driver-protocol.md").read_text()


def test_every_transcript_is_shown_as_recorded() -> None:
    shown = blocks(DOCUMENT)
    assert shown.keys() == set(names()) == SCENES.keys()
    assert [name for name, text in shown.items() if text != block(name)] == []


@pytest.mark.parametrize("name", names())
def test_a_file_is_what_is_read_from_it(name: str) -> None:
    lines = load(name)
    assert lines[0].what == "market"
    for line in lines:
        assert isinstance(line, Line)
        assert line.as_json()


ID, OTHER = "01a1f8e5-bae1-73a7-a784-0932487102d2", "01a1f8e5-bae1-73a7-a784-0932487102d3"


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {"a": "1"}),
        ({"a": 1}, {"a": True}),
        ({"a": 1}, {}),
        ({"a": [1]}, {"a": [1, 2]}),
        ({"a": ID}, {"a": "won"}),
        ({"a": ID, "b": ID}, {"a": ID, "b": OTHER}),
        ({"a": ID, "b": OTHER}, {"a": ID, "b": ID}),
        ({"at": "2026-11-20T12:00:00Z"}, {"at": "noon"}),
        ({"code": "taken"}, {"code": "expired"}),
    ],
)
def test_a_difference_is_noticed(then: object, now: object) -> None:
    with pytest.raises(Mismatch):
        Names().match(then, now)


def test_what_may_differ_does() -> None:
    then = {"seq": 1, "offer_id": ID, "opened_at": "2026-11-20T12:00:00Z", "retry_after_ms": 5}
    now = {"seq": 1, "offer_id": OTHER, "opened_at": "2027-01-01T00:00:00.5Z", "retry_after_ms": 9, "new": {}}
    seen = Names()
    seen.match(then, now)
    assert seen.translate({"offer_id": ID}, "") == {"offer_id": OTHER}
