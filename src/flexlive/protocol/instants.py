"""Times from outside, held to what can be computed with: `0001-01-01T00:00:00+23:59` is a datetime that no clock,
no time zone and no database column can turn into UTC."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, TypeAlias

from msgspec import inspect

EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(9000, 1, 1, tzinfo=UTC)
"""Far beyond every deadline, and far enough from the end of the calendar for any offset and any sum."""
OUT_OF_RANGE: Final = f"a time is between the years {EARLIEST.year} and {LATEST.year}"

_Finder: TypeAlias = Callable[[Any], Iterator[datetime]]


def in_range(message: object) -> bool:
    """Whether every time in a decoded struct, however deep, is within EARLIEST..LATEST."""
    finder = _finder_of(type(message))
    return finder is None or all(EARLIEST <= at <= LATEST for at in finder(message))


@cache
def _finder_of(type_: type[Any]) -> _Finder | None:
    return _finder(inspect.type_info(type_))


def _finder(described: object) -> _Finder | None:
    match described:
        case inspect.DateTimeType(tz=True):
            return _itself
        case inspect.Metadata():
            return _finder(described.type)
        case inspect.StructType():
            inner = [(each.name, found) for each in described.fields if (found := _finder(each.type)) is not None]
            return _of_fields(described.cls, inner) if inner else None
        case inspect.UnionType():
            return _first([found for each in described.types if (found := _finder(each)) is not None])
        case (
            inspect.VarTupleType(item_type=item)
            | inspect.ListType(item_type=item)
            | inspect.SetType(item_type=item)
            | inspect.FrozenSetType(item_type=item)
        ):
            return _of_items(_finder(item))
        case inspect.DictType(value_type=value):
            of_values = _of_items(_finder(value))
            return None if of_values is None else lambda given: of_values(given.values())
        case _:
            return None


def _itself(value: Any) -> Iterator[datetime]:
    if isinstance(value, datetime):
        yield value


def _of_fields(cls: type[Any], inner: list[tuple[str, _Finder]]) -> _Finder:
    def find(value: Any) -> Iterator[datetime]:
        if isinstance(value, cls):
            for name, found in inner:
                yield from found(getattr(value, name))

    return find


def _of_items(found: _Finder | None) -> _Finder | None:
    if found is None:
        return None

    def find(values: Any) -> Iterator[datetime]:
        for value in values or ():
            yield from found(value)

    return find


def _first(found: list[_Finder]) -> _Finder | None:
    if len(found) < 2:
        return found[0] if found else None

    def find(value: Any) -> Iterator[datetime]:
        # Each looks only at what is of its own type.
        for each in found:
            yield from each(value)

    return find
