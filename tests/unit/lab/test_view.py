"""The picture of a play: a panel for people, lines for logs."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from flexlive.lab.book import Book
from flexlive.lab.summary import Samples
from flexlive.lab.summary_table import print_summary
from flexlive.lab.view import View, wants_live
from tests.unit.lab.test_cross_check import Run, committed, standing


def console(terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=120)


def text_of(printed: Console) -> str:
    assert isinstance(printed.file, io.StringIO)
    return printed.file.getvalue()


@pytest.mark.parametrize(
    ("kind", "terminal", "ci", "live"),
    [
        ("auto", True, False, True),
        ("auto", True, True, False),
        ("auto", False, False, False),
        ("live", False, True, True),
        ("plain", True, False, False),
    ],
)
def test_only_a_person_gets_a_panel(
    kind: str, terminal: bool, ci: bool, live: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    if ci:
        monkeypatch.setenv("CI", "1")
    assert wants_live(kind, console(terminal)) is live  # type: ignore[arg-type]


def test_lines_say_how_far_everything_is_and_not_too_often() -> None:
    printed = console(terminal=False)
    with View("plain", printed) as view:
        view.panel_begins()
        for _ in range(3):
            view.show("ordering", Run().book, Samples())
    text = text_of(printed)
    assert text.count("ordering: 2 ordered, 0 waiting") == 1
    assert "2 delivered" in text


def test_the_panel_shows_markets_figures_and_the_last_events() -> None:
    printed = console(terminal=True)
    run = Run()
    samples = Samples()
    samples.add(run.tally)
    with View("live", printed) as view:
        view.panel_begins()
        view.event("o1: delivered")
        view.show("draining", run.book, samples)
    text = text_of(printed)
    for part in ("flexlive demo: draining", "delivered", "1.0 / 3.0 ms", "o1: delivered"):
        assert part in text


def test_an_empty_book_is_a_picture_too() -> None:
    printed = console(terminal=True)
    with View("live", printed) as view:
        view.panel_begins()
        view.show("ordering", Book(), Samples())
    assert "drivers not there yet" in text_of(printed)


def test_the_summary_says_clean_or_what_is_broken() -> None:
    printed = console(terminal=False)
    print_summary(printed, Run().summary())
    assert "Clean:" in text_of(printed)
    broken = Run()
    committed(standings=[standing("o1")])(broken)
    printed = console(terminal=False)
    print_summary(printed, broken.summary())
    assert "Not clean:" in text_of(printed)
    assert "order o2 was created, but is not stored" in text_of(printed)
