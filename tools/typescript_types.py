"""The driver protocol as TypeScript types: `python -m tools.typescript_types` writes docs/driver-protocol.d.ts.

Made from the structs that encode and decode the frames, so that it can say nothing else than they do. Messages are two
exact unions, told apart by `type`: what a phone may send (absent or null where optional) and what a server sends
(absent where optional, never null). Words that may grow are open: known ones are completed, others compile.
"""

from __future__ import annotations

import inspect
import re
import sys
import types
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec
from msgspec import NODEFAULT, Meta, Raw, Struct

from flexlive.protocol import client_frames, server_frames, wire_types
from flexlive.protocol.close_codes import CloseCode, advice
from flexlive.protocol.limits import SUBPROTOCOL

OUTPUT: Final = Path(__file__).parents[1] / "docs" / "driver-protocol.d.ts"
WIDTH: Final = 110

_SCALARS: Final[dict[Any, str]] = {
    str: "string",
    int: "number",
    float: "number",
    bool: "boolean",
    UUID: "Uuid",
    datetime: "Time",
    Any: "unknown",
    Raw: "Result",
}
_OPEN_WORDS: Final = {
    ("Result", "code"): "ResultCode",
    ("Reset", "reason"): "ResetReason",
    ("OfferGone", "reason"): "GoneReason",
    ("Snapshot", "presence"): "PresenceMode",
}
"""Plain text on the wire, so that an old app survives a new word; these are the words of today."""
_PREAMBLE: Final = f"""\
// The driver protocol {SUBPROTOCOL}, see driver-protocol.md. Made by `python -m tools.typescript_types`; not by hand.

/** A UUID as lowercase text. */
export type Uuid = string;
/** RFC 3339 with an offset; the server sends `Z`. */
export type Time = string;
/** One of these words, or one that a later server has learnt. */
export type OpenWord<Known extends string> = Known | (string & Record<never, never>);
/** The WebSocket subprotocol. */
export type Subprotocol = "{SUBPROTOCOL}";
"""


class _Types:
    """Structs in the order in which they are needed; aliases of bounded scalars by their names in wire_types."""

    def __init__(self) -> None:
        named = {name: value for name, value in vars(wire_types).items() if not name.startswith("_")}
        self._aliases = {name: value for name, value in named.items() if get_origin(value) in (Annotated, Literal)}
        self.used: dict[str, None] = {}

    def of(self, hint: Any, written: str, *, inbound: bool) -> str:
        """written: the annotation in the source, which tells apart aliases of equal bounds. inbound: what a phone
        sends."""
        equal = [name for name, value in self._aliases.items() if hint == value]
        if equal:
            words = re.findall(r"\w+", written)
            name = next((name for name in equal if name in words), equal[0])
            # Time is told in the preamble.
            if name != "Time":
                self.used[name] = None
            return name
        return self._of(hint, written, inbound=inbound)

    def _of(self, hint: Any, written: str = "", *, inbound: bool) -> str:
        origin, arguments = get_origin(hint), get_args(hint)
        if origin is Annotated:
            return self.of(arguments[0], written, inbound=inbound)
        if origin is Literal:
            return " | ".join(f'"{word}"' for word in arguments)
        if origin in (Union, types.UnionType):
            # What has a default of nothing is left out by the server, and may be null from a phone.
            parts = [self.of(each, written, inbound=inbound) for each in arguments if each is not type(None)]
            return " | ".join([*parts, "null"] if inbound and type(None) in arguments else parts)
        if origin is tuple:
            inner = self.of(arguments[0], written, inbound=inbound)
            return f"({inner})[]" if " " in inner else f"{inner}[]"
        if origin is dict:
            return f"Record<string, {self.of(arguments[1], written, inbound=inbound)}>"
        if isinstance(hint, type) and issubclass(hint, Struct):
            return hint.__name__
        return _SCALARS[hint]

    def aliases(self) -> Iterator[str]:
        for name in self.used:
            value = self._aliases[name]
            comment = _bounds(value) if get_origin(value) is Annotated else ""
            if get_origin(value) is Literal:
                yield _lines(name, tuple(f'"{word}"' for word in get_args(value)))
            else:
                yield f"{comment}export type {name} = {self._of(value, inbound=True)};\n"


def _bounds(alias: Any) -> str:
    told: list[str] = []
    for meta in get_args(alias)[1:]:
        if isinstance(meta, Meta):
            if meta.ge is not None:
                told.append(f"{meta.ge:,} – {meta.le:,}")
            if meta.max_length is not None:
                told.append(f"{meta.min_length or 0} – {meta.max_length} characters")
            if meta.pattern is not None:
                told.append(f"`{meta.pattern}`")
    return f"/** {', '.join(told)} */\n" if told else ""


def _interface(struct: type[Struct], known: _Types, *, inbound: bool) -> str:
    hints = get_type_hints(struct, include_extras=True)
    config = struct.__struct_config__
    lines = [] if config.tag is None else [f'  type: "{config.tag}";']
    for field in msgspec.structs.fields(struct):
        optional = field.default is not NODEFAULT or field.default_factory is not NODEFAULT
        type_ = known.of(hints[field.name], _written(struct, field.name), inbound=inbound)
        if words := _OPEN_WORDS.get((struct.__name__, field.name)):
            known.used[words] = None
            type_ = f"OpenWord<{words}>"
        lines.append(f"  {field.encode_name}{'?' if optional else ''}: {type_};")
    said = inspect.getdoc(struct) if "__doc__" in vars(struct) and struct.__doc__ else None
    comment = f"/** {' '.join(said.split())} */\n" if said and not said.startswith(f"{struct.__name__}(") else ""
    return f"{comment}export interface {struct.__name__} {{\n" + "\n".join(lines) + "\n}\n"


def _written(struct: type[Struct], field: str) -> str:
    return next(
        str(inspect.get_annotations(base)[field]) for base in struct.__mro__ if field in inspect.get_annotations(base)
    )


def _structs_in(hint: Any) -> Iterator[type[Struct]]:
    if isinstance(hint, type) and issubclass(hint, Struct):
        yield hint
    for each in get_args(hint):
        yield from _structs_in(each)


def _with_parts(struct: type[Struct]) -> Iterator[type[Struct]]:
    for hint in get_type_hints(struct, include_extras=True).values():
        for part in _structs_in(hint):
            yield from _with_parts(part)
    yield struct


def _lines(name: str, members: tuple[str, ...]) -> str:
    one_line = f"export type {name} = {' | '.join(members)};\n"
    return one_line if len(one_line) <= WIDTH else f"export type {name} =\n  | " + "\n  | ".join(members) + ";\n"


def _union(name: str, members: tuple[str, ...], comment: str) -> str:
    return f"/** {comment} */\n{_lines(name, members)}"


def _names(union: Any) -> tuple[str, ...]:
    return tuple(member.__name__ for member in get_args(union))


def render() -> str:
    """The whole file."""
    known = _Types()
    interfaces: dict[str, str] = {}
    for union, inbound in ((client_frames.ClientMessage, True), (server_frames.ServerMessage, False)):
        for message in get_args(union):
            for struct in _with_parts(message):
                interfaces.setdefault(struct.__name__, _interface(struct, known, inbound=inbound))
    codes = "".join(f"  /** {code.name.lower().replace('_', ' ')} */\n  {code.value}: \"{advice(code).value}\";\n"
                    for code in CloseCode)  # fmt: skip
    unions = [
        _union("Command", _names(client_frames.Command), "Answered by exactly one `Result`; safe to repeat."),
        _union("Signal", _names(client_frames.Signal), "Not answered; `Sync` by a `Snapshot`."),
        _union("ClientMessage", ("Hello", "Signal", "Command"), "What a phone may send."),
        _union("Fact", _names(server_frames.FactMessage), "Carries `seq`; every one arrives, in order."),
        _union("State", _names(server_frames.StateMessage), "Newest wins, may be dropped."),
        _union("Control", _names(server_frames.ControlMessage), "Steers the session."),
        _union("ServerMessage", ("Fact", "State", "Control"), "What a server sends. Ignore a `type` that is not here."),
        "/** What to do after the socket was closed with one of these codes. */\n"
        f"export interface CloseAdvice {{\n{codes}}}\n"
        "export type CloseCode = keyof CloseAdvice;\n",
    ]
    # The interfaces first: they say which aliases are used.
    return "\n".join([_PREAMBLE, "".join(known.aliases()), *interfaces.values(), *unions])


def main() -> None:
    OUTPUT.write_text(render())
    sys.stdout.write(f"{OUTPUT.name}: {len(render().splitlines())} lines\n")


if __name__ == "__main__":
    main()
