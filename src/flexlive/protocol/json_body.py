"""Request bodies: bytes in, a checked value out. Strict where a lenient reader would hide a client's mistake."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any, NoReturn, TypeVar

import msgspec

from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.protocol import instants

T = TypeVar("T")


@cache
def _decoder(type_: type[Any]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type_)


def decode(type_: type[T], body: bytes) -> T:
    """The body as type_. FlexliveError(invalid) for anything else, a key given twice included; echoes no value."""
    try:
        value: T = _decoder(type_).decode(body)
        _check_keys(body.decode())
    except msgspec.ValidationError as error:
        _refuse(_without_values(str(error)))
    except RecursionError:
        _refuse("the body is nested too deep")
    except UnicodeError:
        _refuse("the body is not UTF-8")
    except (msgspec.DecodeError, ValueError):
        _refuse("the body is not one JSON value")
    if not instants.in_range(value):
        _refuse(instants.OUT_OF_RANGE)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        _refuse("a key is given twice")


_read_keys: Callable[[str], Any] = json.JSONDecoder(object_pairs_hook=_unique, parse_int=len, parse_float=len).decode


def _check_keys(text: str) -> None:
    # msgspec keeps the last of two equal keys silently; only the standard library can be asked.
    _read_keys(text)


def _refuse(detail: str) -> NoReturn:
    raise FlexliveError(ErrorCode.INVALID, detail) from None


def _without_values(text: str) -> str:
    # msgspec quotes the offending word of an enumeration: "Invalid enum value 'x' - at `$.y`".
    if not text.startswith("Invalid enum value"):
        return text
    _, _, where = text.rpartition(" - at ")
    return f"Invalid value - at {where}" if where else "Invalid value"
