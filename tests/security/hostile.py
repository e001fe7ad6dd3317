"""Bad input, made from the types that describe the good one: a new frame is attacked without being listed.

A message is written once with values that fit, then once per field and per value that may hurt it. Values are raw
JSON text: much of what is sent here (NaN, 1e400, a key given twice) no JSON library would write.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import inspect

from tests.support.thorough import THOROUGH

HOSTILE: Final[Mapping[str, str]] = {
    "null": "null",
    "true": "true",
    "list": "[]",
    "object": "{}",
    "empty": '""',
    "NaN": "NaN",
    "Infinity": "-Infinity",
    "1e400": "1e400",
    "-1e400": "-1e400",
    "1e308": "1e308",
    "half": "0.5",
    "minus one": "-1",
    "zero": "0",
    "2^31": str(2**31),
    "2^53+1": str(2**53 + 1),
    "2^63": str(2**63),
    "2^63-1": str(2**63 - 1),
    "-2^63-1": str(-(2**63) - 1),
    "2^64": str(2**64),
    "5000 digits": "9" * 5000,
    "deep list": "[" * 7000,
    "deep and whole": "[" * 300 + "]" * 300,
    "deeper and whole": "[" * 980 + "]" * 980,
    "deepest and whole": "[" * 4000 + "]" * 4000,
    "deep object": '{"a":' * 500 + "1" + "}" * 500,
    "NUL": '"a\\u0000b"',
    "NUL key": '{"a\\u0000b":1}',
    "lone surrogate": '"\\ud800"',
    "swapped surrogates": '"\\udc00\\ud800"',
    "control": '"a\\u001b[2J\\r\\nb"',
    "bidi": '"\\u202eabc\\u2066"',
    "other digits": '"\\u0661\\u0662\\u00b2"',
    "astral": '"\U0001f697"',
    "long": '"' + "x" * 9000 + '"',
    "words": '"\' or 1=1; --"',
    "template": '"{{7*7}}${jndi:x}%s%n<script>alert(1)</script>"',
    "path": '"../../etc/passwd"',
    "no uuid": '"00000000-0000-0000-0000-00000000000g"',
    "nil uuid": '"00000000-0000-0000-0000-000000000000"',
    "naive time": '"2026-01-01T00:00:00"',
    "no such day": '"2026-02-30T00:00:00Z"',
    "first instant": '"0001-01-01T00:00:00Z"',
    "before the first instant": '"0001-01-01T00:00:00+23:59"',
    "last instant": '"9999-12-31T23:59:59.999999Z"',
    "after the last instant": '"9999-12-31T23:59:59-23:59"',
    "leap second": '"2016-12-31T23:59:60Z"',
    "first day": '"0001-01-01"',
    "last day": '"9999-12-31"',
    "a thousand items": "[" + ",".join(["1"] * 1000) + "]",
}

PLACES: Final = {
    "north pole": (90, 0),
    "south pole": (-90, 180),
    "antimeridian east": (0.0, 180.0),
    "antimeridian west": (0.0, -180.0),
    "null island": (0, -0.0),
    "beyond the pole": (90.0000001, 0),
    "beyond the antimeridian": (0, 180.0000001),
    "swapped": (-115.17, 36.12),
}

_NUMBERS: Final = frozenset(name for name, raw in HOSTILE.items() if raw[0] in "-0123456789NI")
_TIMES: Final = frozenset(
    {name for name in HOSTILE if "instant" in name} | {"naive time", "no such day", "leap second"}
)
_DAYS: Final = frozenset({"first day", "last day", "no such day"})
_NESTED: Final = frozenset(
    {name for name in HOSTILE if "deep" in name} | {"a thousand items", "NUL key", "list", "object"}
)
_TEXTS: Final = frozenset(name for name, raw in HOSTILE.items() if raw[0] == '"') - _TIMES - _DAYS
FITTING_EACH: Final = 4
OTHERS_EACH: Final = 1
"""So many values of a field's own kind, and of other kinds, are tried in it; TEST_THOROUGH=1 tries all."""
_SLOT: Final = "@slot@"
_SAMPLES: Final = (
    "A1", "a1", "abc", "a" * 64, "1234", "USD", "+15550101234", "America/Phoenix", "car", "x-1", "2026-11-20",
    "image/jpeg", "8729ae63bffffff", "123456",
)  # fmt: skip


def messages(type_: type[Any], ids: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(what is wrong, raw JSON) for every field of a struct, nested ones too. ids: what to put into fields that name
    something, by the field's name, so that the lie meets something true."""
    described = inspect.type_info(type_)
    good = _example(described, "", ids)
    for path in _paths(good):
        for name in _worth_trying(path, good):
            yield f"{'.'.join(map(str, path))}: {name}", _raw(put(good, path, _SLOT), HOSTILE[name])
        yield f"{'.'.join(map(str, path))}: left out", json.dumps(_without(good, path))
    for name, (lat, lon) in PLACES.items():
        if (moved := _placed(good, lat, lon)) != good:
            yield name, json.dumps(moved)
    text = json.dumps(good)
    for key in _top(good):
        yield f"{key} twice", text[:-1] + f", {json.dumps(key)}: {json.dumps(good[key])}}}"
    yield "a stranger's field", text[:-1] + ', "constructor": {"__proto__": 1}}'
    yield "nothing wrong", text
    yield "twice", text + text
    yield "cut short", text[: len(text) // 2]


def example(type_: type[Any], ids: Mapping[str, str]) -> dict[str, Any]:
    """A value that fits the type, with every optional field given."""
    return _example(inspect.type_info(type_), "", ids)


def _worth_trying(path: tuple[str | int, ...], good: Any) -> list[str]:
    value = good
    for step in path:
        value = value[step]
    fitting = sorted(_of_kind(value))
    others = sorted(set(HOSTILE) - set(fitting))
    return some_of(fitting, FITTING_EACH, repr(path)) + some_of(others, OTHERS_EACH, repr(path))


def some_of(values: Sequence[str], count: int, place: str) -> list[str]:
    """So many of them, others at each place but always the same ones there; all of them in a thorough run."""
    if THOROUGH or count >= len(values):
        return list(values)
    start = zlib.crc32(place.encode())
    return [values[(start + step * len(values) // count) % len(values)] for step in range(count)]


def _of_kind(value: Any) -> frozenset[str]:
    if isinstance(value, bool):
        return frozenset({"null", "empty", "2^63"})
    if isinstance(value, int | float):
        return _NUMBERS
    if isinstance(value, list | dict):
        return _NESTED
    if re.match(r"\d{4}-\d\d-\d\dT", value):
        return _TIMES
    if re.match(r"\d{4}-\d\d-\d\d$", value):
        return _DAYS
    return _TEXTS


def _example(described: Any, name: str, ids: Mapping[str, str]) -> Any:
    match described:
        case inspect.StructType():
            fields = {each.encode_name: _example(each.type, each.encode_name, ids) for each in described.fields}
            tag = {} if described.tag_field is None else {described.tag_field: described.tag}
            return {**tag, **fields}
        case inspect.UnionType():
            chosen = [each for each in described.types if not isinstance(each, inspect.NoneType)]
            return _example(chosen[0], name, ids)
        case inspect.Metadata():
            return _example(described.type, name, ids)
        case inspect.UUIDType():
            return ids.get(name, "01a1f8de-f7dc-744c-8c2f-3b5928d1be3b")
        case inspect.StrType():
            return ids.get(name) or _text(described)
        case inspect.DateTimeType():
            return "2026-11-20T12:00:00Z"
        case inspect.DateType():
            return "2026-11-20"
        case inspect.TimeType():
            return "08:00:00"
        case inspect.BoolType():
            return True
        case inspect.IntType() | inspect.FloatType():
            if described.ge is not None or described.gt is None:
                return described.ge if described.ge is not None else 1
            high = described.le if described.le is not None else described.lt
            return described.gt + 1 if high is None else (described.gt + high) / 2
        case inspect.LiteralType():
            return described.values[0]
        case inspect.EnumType():
            return next(iter(described.cls)).value
        case inspect.VarTupleType() | inspect.ListType() | inspect.SetType() | inspect.FrozenSetType():
            return [_example(described.item_type, name.removesuffix("s"), ids)] * max(1, described.min_length or 0)
        case inspect.TupleType():
            return [_example(each, name, ids) for each in described.item_types]
        case inspect.DictType():
            return {"key": _example(described.value_type, name, ids)}
        case inspect.AnyType():
            return {"any": [1, "a", None]}
        case _:
            raise NotImplementedError(f"no example for {described}: teach this module")


def _text(described: Any) -> str:
    low, high = described.min_length or 0, described.max_length or 10**6
    for sample in _SAMPLES:
        if low <= len(sample) <= high and (described.pattern is None or re.search(described.pattern, sample)):
            return sample
    raise NotImplementedError(f"no sample text fits {described.pattern!r}: add one to _SAMPLES")


def _paths(value: Any, so_far: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if so_far:
        yield so_far
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _paths(inner, (*so_far, key))
    elif isinstance(value, list) and value:
        yield from _paths(value[0], (*so_far, 0))


def put(value: Any, path: tuple[str | int, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = put(value[path[0]], path[1:], new)
    return copy


def _without(value: Any, path: tuple[str | int, ...]) -> Any:
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1:
        del copy[path[0]]
    else:
        copy[path[0]] = _without(value[path[0]], path[1:])
    return copy


def _placed(value: Any, lat: float, lon: float) -> Any:
    if isinstance(value, list):
        return [_placed(each, lat, lon) for each in value]
    if not isinstance(value, dict):
        return value
    moved = {"lat": lat, "lon": lon, "dropoff_lat": lat, "dropoff_lon": lon}
    return {key: moved.get(key, _placed(inner, lat, lon)) for key, inner in value.items()}


def _top(value: Any) -> list[str]:
    return list(value) if isinstance(value, dict) else []


def _raw(value: Any, raw: str) -> str:
    return json.dumps(value).replace(json.dumps(_SLOT), raw)
