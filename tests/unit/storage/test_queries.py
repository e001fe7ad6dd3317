"""Named statements: parameters in the order of first appearance, mistakes told by file and name."""

from __future__ import annotations

from pathlib import Path

import pytest

from flexlive.storage import queries

SAMPLE = """
-- name: waiting
-- Casts, repeated names, strings and comments keep their colons.
select d.a::text, ':not' from delivery as d
-- and :not_here either, on a line of its own
where d.market_id = :market_id and d.b = any(:ids::uuid[]) and d.c <> :market_id;

-- name: listed(first, second)
-- A header may say what it takes.
select :first, :second;

-- name: touch!
-- No rows come back.
update delivery set a = :a where market_id = :market_id;
"""


@pytest.fixture
def sample_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "queries").mkdir()
    monkeypatch.setattr(queries, "sql_dir", lambda: tmp_path)
    return tmp_path / "queries"


def test_placeholders_follow_first_appearance(sample_dir: Path) -> None:
    (sample_dir / "sample.sql").write_text(SAMPLE)
    loaded = queries.load("sample")
    assert {query.name for query in loaded} == {"waiting", "listed", "touch"}
    assert len(loaded) == 3
    assert loaded.waiting.parameters == ("market_id", "ids")
    assert "d.market_id = $1 and d.b = any($2::uuid[]) and d.c <> $1" in loaded.waiting.sql
    assert "d.a::text, ':not'" in loaded.waiting.sql
    assert not loaded.waiting.sql.endswith(";")
    assert loaded.listed.parameters == ("first", "second")
    assert loaded.touch.sql == "update delivery set a = $1 where market_id = $2"


def test_bind_puts_values_in_order(sample_dir: Path) -> None:
    (sample_dir / "bound.sql").write_text(SAMPLE)
    waiting = queries.load("bound").waiting
    assert waiting.bind(ids=[1], market_id="m") == (waiting.sql, "m", [1])
    with pytest.raises(TypeError, match="waiting takes"):
        waiting.bind(market_id="m")
    with pytest.raises(KeyError, match="market_id"):
        waiting.bind(ids=[1], market="m")


@pytest.mark.parametrize(
    ("noun", "text", "message"),
    [
        ("slices", "-- name: x\nselect a[1:2] from t where b = :b;", "slices.sql: x has a colon"),
        ("swapped", "-- name: x(b, a)\nselect :a, :b;", "swapped.sql: x lists"),
    ],
)
def test_statements_that_would_bind_wrong_values_are_refused(
    sample_dir: Path, noun: str, text: str, message: str
) -> None:
    (sample_dir / f"{noun}.sql").write_text(text)
    with pytest.raises(ValueError, match=message):
        queries.load(noun)


def test_what_is_missing_is_named(sample_dir: Path) -> None:
    (sample_dir / "present.sql").write_text(SAMPLE)
    with pytest.raises(AttributeError, match=r"sql/queries/present\.sql has no query named 'gone'"):
        _ = queries.load("present").gone
    with pytest.raises(FileNotFoundError, match=r"sql/queries/absent\.sql"):
        queries.load("absent")
