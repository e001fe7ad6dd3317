"""Whatever a request may hold has a bound in its type: no number a column has no room for, no text without end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from msgspec import inspect

from flexlive.protocol import client_frames, instants, json_body
from flexlive.protocol.codec import decode_client
from tests.security import hostile
from tests.security.endpoints import endpoints, writing

BIGINT_MAX = 2**63 - 1
ANYTHING_BY_DESIGN = {"PresenceSet.filters"}
"""An app's own notes about itself, kept as they are; the frame's size bounds them."""
CHECKED_BY_HAND = {"/v1/driver/uploads/{upload_id} sha256"}
BODIES = sorted({each.body for each in writing() if each.body is not None}, key=lambda each: each.__name__)


@pytest.mark.parametrize("body", BODIES, ids=lambda each: each.__name__)
def test_every_field_of_a_body_is_bounded(body: type[Any]) -> None:
    assert list(_unbounded(inspect.type_info(body), body.__name__, texts=True)) == []


@pytest.mark.parametrize("frame", get_args(client_frames.ClientMessage), ids=lambda each: each.__name__)
def test_every_field_of_a_frame_is_bounded(frame: type[Any]) -> None:
    # A frame is at most 16 KiB and holds no U+0000 at all: its texts need no bound of their own.
    assert set(_unbounded(inspect.type_info(frame), frame.__name__, texts=False)) <= ANYTHING_BY_DESIGN


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "1969-12-31T23:59:59Z"])
def test_times_nobody_can_compute_with_are_refused(at: str) -> None:
    from flexlive.domain.errors import FlexliveError

    for body in BODIES:
        good = hostile.example(body, {})
        for path, what in _times(inspect.type_info(body)):
            raw = _with(good, path, at)
            with pytest.raises(FlexliveError, match=r"time|date|Invalid|valid"):
                json_body.decode(body, raw)
            assert what
    for frame in get_args(client_frames.ClientMessage):
        good = hostile.example(frame, {})
        for path, _ in _times(inspect.type_info(frame)):
            assert not isinstance(decode_client(_with(good, path, at)), frame), path


def test_ordinary_times_pass() -> None:
    for body in BODIES:
        for path, _ in _times(inspect.type_info(body)):
            decoded = json_body.decode(body, _with(hostile.example(body, {}), path, "2027-01-31T23:59:59-07:00"))
            assert instants.in_range(decoded)


def test_there_is_something_to_check() -> None:
    assert len(BODIES) >= 11
    assert {each.who for each in endpoints()} >= {"ops", "merchant", "driver", None}


def _with(value: Any, path: tuple[str | int, ...], new: str) -> bytes:
    import json

    return json.dumps(hostile.put(value, path, new)).encode()


def _times(described: Any, so_far: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    match described:
        case inspect.DateTimeType():
            yield so_far, "a time"
        case inspect.StructType():
            for each in described.fields:
                yield from _times(each.type, (*so_far, each.encode_name))
        case inspect.UnionType():
            for each in described.types:
                yield from _times(each, so_far)
        case inspect.VarTupleType() | inspect.ListType():
            yield from _times(described.item_type, (*so_far, 0))
        case _:
            pass


def _unbounded(described: Any, name: str, *, texts: bool) -> Iterator[str]:
    match described:
        case inspect.StructType():
            for each in described.fields:
                yield from _unbounded(each.type, f"{name}.{each.encode_name}", texts=texts)
        case inspect.UnionType():
            for each in described.types:
                yield from _unbounded(each, name, texts=texts)
        case inspect.IntType():
            low = described.ge if described.ge is not None else described.gt
            high = described.le if described.le is not None else described.lt
            if low is None or high is None or low < -BIGINT_MAX or high > BIGINT_MAX:
                yield name
        case inspect.FloatType():
            low = described.ge if described.ge is not None else described.gt
            high = described.le if described.le is not None else described.lt
            if low is None or high is None:
                yield name
        case inspect.StrType():
            if texts and (_endless(described) or _takes_nul(described)):
                yield name
        case inspect.VarTupleType() | inspect.ListType() | inspect.SetType() | inspect.FrozenSetType():
            if texts and described.max_length is None:
                yield name
            yield from _unbounded(described.item_type, name, texts=texts)
        case inspect.DictType():
            if described.max_length is None:
                yield name
            yield from _unbounded(described.key_type, name, texts=texts)
            yield from _unbounded(described.value_type, name, texts=texts)
        case inspect.AnyType():
            yield name
        case _:
            pass


def _endless(described: Any) -> bool:
    import re

    if described.max_length is not None:
        return False
    return described.pattern is None or any(re.search(described.pattern, letter * 5000) for letter in "aA0 -+")


def _takes_nul(described: Any) -> bool:
    import re

    nul = "\0" * max(1, described.min_length or 0)
    return described.pattern is None or re.search(described.pattern, nul) is not None


def test_every_parameter_is_bounded() -> None:
    """As the server enforces it: what stands in a msgspec type is not looked at outside a body."""
    from litestar import Litestar

    from flexlive.app import create_app
    from flexlive.settings import Settings

    app: Litestar = create_app(Settings(), "postgresql:///", lambda: None)
    unbounded = [
        f"{path} {parameter['name']}"
        for path, operations in app.openapi_schema.to_schema()["paths"].items()
        for operation in operations.values()
        for parameter in operation.get("parameters", ())
        if _loose(parameter["schema"])
    ]
    assert set(unbounded) <= CHECKED_BY_HAND


def _loose(schema: dict[str, Any]) -> bool:
    for choice in (*schema.get("oneOf", ()), *schema.get("anyOf", ())):
        if _loose({**{name: bound for name, bound in schema.items() if name not in {"oneOf", "anyOf"}}, **choice}):
            return True
    types = set(schema["type"] if isinstance(schema.get("type"), list) else [schema.get("type")])
    if "string" in types:
        return not {"format", "enum", "const", "maxLength", "pattern"} & set(schema)
    return bool(types & {"integer", "number"}) and not {"maximum", "exclusiveMaximum"} & set(schema)
