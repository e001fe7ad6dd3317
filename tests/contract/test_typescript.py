"""docs/driver-protocol.d.ts is what the structs say, compiles, and is exact: what the wire refuses it refuses too."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from tools import typescript_types

from flexlive.protocol import driver as wire
from flexlive.protocol.codec import decode_client, decode_server
from tests.golden import transcript
from tests.support.node import NODE_DIR, node_modules, run_node
from tests.support.protocol_document import examples

STRUCTS: dict[str, dict[str, type[msgspec.Struct]]] = {
    direction: {str(each.__struct_config__.tag): each for each in get_args(union)}
    for direction, union in ((transcript.SENT, wire.ClientMessage), (transcript.RECEIVED, wire.ServerMessage))
}
MESSAGES = tuple(struct for each in STRUCTS.values() for struct in each.values())
decode: dict[str, Callable[[str], object]] = {transcript.SENT: decode_client, transcript.RECEIVED: decode_server}


def test_the_types_are_those_of_the_structs() -> None:
    assert typescript_types.OUTPUT.read_text() == typescript_types.render(), "run: python -m tools.typescript_types"


def frames() -> Iterator[tuple[str, dict[str, Any]]]:
    """Direction and frame: every example of the document, and of the transcripts every frame the other side takes."""
    for direction in STRUCTS:
        yield from ((direction, json.loads(text)) for text in examples(direction))
    for name in transcript.names():
        for line in transcript.load(name):
            if line.what in STRUCTS and isinstance(decode[line.what](json.dumps(line.body)), MESSAGES):
                yield line.what, line.body


def may_be_anything(hint: Any) -> bool:
    return hint is Any or Any in get_args(hint) or any(map(may_be_anything, get_args(hint)))


def refused(struct: type[msgspec.Struct], changed: dict[str, Any], name: str) -> str:
    return f"// @ts-expect-error {name}\nexport const {name}: T.{struct.__name__} = {json.dumps(changed)};"


def statements() -> Iterator[str]:
    """Every frame compiles as what it is. Of each type: without a required field, with a foreign one, or with a value
    of another kind in any field, it does not."""
    first: set[tuple[str, str]] = set()
    for number, (direction, frame) in enumerate(frames()):
        struct = STRUCTS[direction][frame["type"]]
        union = "ClientMessage" if direction == transcript.SENT else "ServerMessage"
        yield f"export const f{number}: T.{union} & {{type: {json.dumps(frame['type'])}}} = {json.dumps(frame)};"
        if (direction, frame["type"]) in first:
            continue
        first.add((direction, frame["type"]))

        yield refused(struct, frame | {"no_such_field": 1}, f"f{number}_foreign")
        hints = get_type_hints(struct)
        for field in msgspec.structs.fields(struct):
            key = field.encode_name
            if field.required:
                yield refused(
                    struct, {name: each for name, each in frame.items() if name != key}, f"f{number}_without_{key}"
                )
            if not may_be_anything(hints[field.name]):
                yield refused(struct, frame | {key: {"no": "such value"}}, f"f{number}_other_{key}")
    assert len(first) == sum(map(len, STRUCTS.values())), "a message has no example"


def test_they_compile_and_refuse_what_the_wire_refuses(tmp_path: Path) -> None:
    modules = node_modules()
    types = NODE_DIR / "types"
    root = Path(__file__).parents[2]
    generated = tmp_path / "frames.ts"
    source = "\n".join([f'import type * as T from "{root}/docs/driver-protocol";', *statements()])
    generated.write_text(source)
    config = json.loads((types / "tsconfig.json").read_text())
    (tmp_path / "tsconfig.json").write_text(json.dumps(config | {"files": [str(generated), str(types / "usage.ts")]}))
    done = run_node(str(modules / "typescript" / "bin" / "tsc"), "--project", str(tmp_path), cwd=tmp_path)
    assert done.returncode == 0, done.stdout[:5000]
    assert source.count("@ts-expect-error") > 150


@pytest.mark.parametrize("name", ["package.json", "package-lock.json"])
def test_nothing_names_a_registry(name: str) -> None:
    assert "://" not in (NODE_DIR / name).read_text()
