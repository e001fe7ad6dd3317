"""Named SQL of `sql/queries/<noun>.sql`: loaded with aiosql, run with `connection.fetch(query.sql, …)`.

aiosql's own query functions hide rows, so only its loader is used.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import aiosql

import flexlive

_from_path: Any = cast("Any", aiosql.from_path)  # pyright: ignore[reportUnknownMemberType]
_PLACEHOLDER = re.compile(r"\$(\d+)")


@dataclass(frozen=True, slots=True)
class Query:
    """One named statement. `sql` has `$n` in the order of `parameters`, which is the order of first appearance."""

    name: str
    sql: str
    parameters: tuple[str, ...]

    def bind(self, **values: object) -> tuple[Any, ...]:
        """The statement and its arguments in order, for `connection.fetch(*query.bind(market_id=…))`.

        KeyError for a missing value, TypeError for one the statement does not take.
        """
        if len(values) != len(self.parameters):
            raise TypeError(f"{self.name} takes {self.parameters}, got {tuple(values)}")
        return (self.sql, *(values[name] for name in self.parameters))


class Queries:
    """The statements of one noun, an attribute each. AttributeError names the file that lacks one."""

    __slots__ = ("_by_name", "_noun")

    def __init__(self, noun: str, by_name: dict[str, Query]) -> None:
        self._noun = noun
        self._by_name = by_name

    def __getattr__(self, name: str) -> Query:
        try:
            return self._by_name[name]
        except KeyError:
            raise AttributeError(f"sql/queries/{self._noun}.sql has no query named {name!r}") from None

    def __iter__(self) -> Iterator[Query]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)


@cache
def sql_dir() -> Path:
    """The folder with schema.sql, migrations/ and queries/: inside an installed wheel, or beside src/ in a checkout."""
    package = Path(flexlive.__file__).parent
    for candidate in (package / "sql", package.parent.parent / "sql"):
        if (candidate / "schema.sql").is_file():
            return candidate
    raise FileNotFoundError("flexlive's sql folder is missing: neither in the installed package nor beside src/")


@cache
def load(noun: str) -> Queries:
    """Read `sql/queries/<noun>.sql` once.

    A header may list its parameters, `-- name: x(market_id, ids)`, then in the order of their first appearance.
    Raises FileNotFoundError, ValueError, or aiosql's SQLParseException.
    """
    path = sql_dir() / "queries" / f"{noun}.sql"
    if not path.is_file():
        raise FileNotFoundError(f"no sql/queries/{noun}.sql")
    loaded = _from_path(path, "asyncpg", encoding="utf-8", mandatory_parameters=False)
    by_name: dict[str, Query] = {}
    for name in cast("list[str]", loaded.available_queries):
        if not name.endswith("_cursor"):
            by_name[name] = _query(path, name, getattr(loaded, name))
    return Queries(noun, by_name)


def _query(path: Path, name: str, function: Any) -> Query:
    sql = cast("str", function.sql).strip().removesuffix(";")
    parameters = tuple(list(cast("inspect.Signature", function.__signature__).parameters)[1:])
    declared = cast("list[str] | None", function.parameters)
    if declared is not None and tuple(declared) != parameters:
        raise ValueError(f"{path.name}: {name} lists {declared}, but they first appear as {list(parameters)}")
    # aiosql reads the 2 of a literal [1:2] as a parameter; such a statement would bind the wrong values.
    if max((int(number) for number in _PLACEHOLDER.findall(sql)), default=0) != len(parameters):
        raise ValueError(f"{path.name}: {name} has a colon that is neither a cast nor a parameter")
    return Query(name=name, sql=sql, parameters=parameters)
