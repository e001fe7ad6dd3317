"""The AsyncAPI document: valid by AsyncAPI's own schema, and it takes what was really said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from importlib.metadata import version
from typing import Any, get_args, get_type_hints

import httpx
import jsonschema_rs
import msgspec
import pytest

from flexlive.app import create_app
from flexlive.protocol import driver as wire
from flexlive.protocol.asyncapi import ASYNCAPI_VERSION, asyncapi_document
from flexlive.settings import Settings
from tests.contract.test_typescript import STRUCTS, frames
from tests.golden.transcript import SENT
from tests.support.node import node_modules

DOCUMENT = asyncapi_document("1.2.3")


def references(value: Any) -> Iterator[str]:
    match value:
        case dict():
            if isinstance(value.get("$ref"), str):
                yield value["$ref"]
            for each in value.values():
                yield from references(each)
        case list():
            for each in value:
                yield from references(each)
        case _:
            pass


def resolve(reference: str) -> Any:
    found: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


@pytest.fixture(scope="module")
def official() -> Any:
    path = node_modules() / "@asyncapi" / "specs" / "schemas" / f"{ASYNCAPI_VERSION}.json"
    return jsonschema_rs.validator_for(json.loads(path.read_text()))


def test_it_is_valid_by_the_official_schema(official: Any) -> None:
    assert [f"{error.instance_path}: {error.message}" for error in official.iter_errors(DOCUMENT)] == []


@pytest.mark.parametrize(
    ("where", "what"),
    [
        (("operations", "open", "action"), "listen"),
        (("channels", "driver", "address"), 7),
        (("asyncapi",), "2.6.0"),
        (("components", "messages", "Hello", "payload"), "Hello"),
    ],
)
def test_the_official_schema_is_one_that_refuses(official: Any, where: tuple[str, ...], what: object) -> None:
    broken: Any = deepcopy(DOCUMENT)
    place = broken
    for part in where[:-1]:
        place = place[part]
    place[where[-1]] = what
    assert not official.is_valid(broken)


def test_every_reference_leads_somewhere() -> None:
    found = set(references(DOCUMENT))
    assert len(found) > 100
    for reference in found:
        resolve(reference)


def test_every_message_is_in_the_channel_and_in_an_operation() -> None:
    messages = {struct.__name__ for each in STRUCTS.values() for struct in each.values()}
    assert messages == DOCUMENT["channels"]["driver"]["messages"].keys() == DOCUMENT["components"]["messages"].keys()
    actions: dict[str, set[str]] = {"send": set(), "receive": set()}
    for operation in DOCUMENT["operations"].values():
        actions[operation["action"]] |= {each["$ref"].rpartition("/")[2] for each in operation["messages"]}
    assert actions["receive"] == {struct.__name__ for struct in get_args(wire.ClientMessage)}
    assert actions["send"] == {struct.__name__ for struct in get_args(wire.ServerMessage)}


def test_every_time_is_said_to_be_one() -> None:
    seen = 0
    for struct in parts({struct for each in STRUCTS.values() for struct in each.values()}):
        properties = DOCUMENT["components"]["schemas"][struct.__name__]["properties"]
        for field in msgspec.structs.fields(struct):
            is_time = "datetime.datetime" in repr(get_type_hints(struct)[field.name])
            seen += is_time
            assert is_time == ("date-time" in json.dumps(properties[field.encode_name])), (struct, field.name)
    assert seen > 20


def parts(structs: set[type[msgspec.Struct]]) -> set[type[msgspec.Struct]]:
    found: set[type[msgspec.Struct]] = set()
    waiting = [*structs]
    while waiting:
        struct = waiting.pop()
        if struct not in found:
            found.add(struct)
            waiting += [each for hint in get_type_hints(struct).values() for each in structs_in(hint)]
    return found


def structs_in(hint: Any) -> Iterator[type[msgspec.Struct]]:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        yield hint
    for each in get_args(hint):
        yield from structs_in(each)


def test_its_schemas_take_every_frame_that_was_sent_and_not_another_type() -> None:
    validators: dict[str, Any] = {}
    count = 0
    for direction, frame in frames():
        name = STRUCTS[direction][frame["type"]].__name__
        if name not in validators:
            whole = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
            validators[name] = jsonschema_rs.validator_for(whole, validate_formats=True)
        validators[name].validate(frame)
        assert not validators[name].is_valid(frame | {"type": "no.such"})
        if direction == SENT and "cmd" in frame:
            assert not validators[name].is_valid(frame | {"cmd": "two words"})
        count += 1
    assert validators.keys() == DOCUMENT["components"]["messages"].keys()
    assert count > 200


async def test_the_server_hands_it_out() -> None:
    app = create_app(Settings(), "", lambda: None)
    transport = httpx.ASGITransport(app=app)  # pyright: ignore[reportArgumentType]
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as http:
        answer = await http.get("/schema/asyncapi.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == json.loads(json.dumps(asyncapi_document(version("flexlive"))))
