"""The driver protocol as an AsyncAPI 3.0 document, made from the structs that encode and decode the frames.

`send` and `receive` are the server's: it receives what phones send.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any, Final, TypeAlias, get_args, get_type_hints

import msgspec
from msgspec import Struct

from flexlive.protocol.client_frames import ClientMessage, Command, CommandFrame, Hello, Signal
from flexlive.protocol.close_codes import Advice, CloseCode, advice
from flexlive.protocol.limits import FRAME_BYTES_MAX, SUBPROTOCOL
from flexlive.protocol.server_frames import (
    ControlMessage,
    Drain,
    Error,
    FactMessage,
    Live,
    Reset,
    Result,
    Resumed,
    ServerHeartbeat,
    ServerMessage,
    Snapshot,
    StateMessage,
    Welcome,
)

ASYNCAPI_VERSION: Final = "3.0.0"
Json: TypeAlias = dict[str, Any]

_CHANNEL: Final = "driver"
_OPENINGS: Final = (Welcome, Resumed, Reset)
_WHAT_NEXT: Final = {
    Advice.RESUME: "come back and resume",
    Advice.REFRESH_TOKEN: "refresh the access token, then come back and resume",
    Advice.STOP: "do not come back by yourself",
}


def _messages(union: object) -> tuple[type[Struct], ...]:
    return get_args(union)


@cache
def asyncapi_document(version: str) -> Json:
    """The whole document as JSON values; version: of the software. Not to be changed by who gets it."""
    everything = _messages(ClientMessage) + _messages(ServerMessage)
    return {
        "asyncapi": ASYNCAPI_VERSION,
        "info": {
            "title": "flexlive driver protocol",
            "version": version,
            "description": _description(),
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "flexlive": {
                "host": "{host}",
                "protocol": "wss",
                "description": "A flexlive server; several processes may stand behind one address.",
                "variables": {"host": {"description": "host, and port when it is not 443"}},
                "security": [{"$ref": f"#/components/securitySchemes/{name}"} for name in ("bearer", "ticket")],
            }
        },
        "channels": {
            _CHANNEL: {
                "address": "/v1/driver",
                "title": "A driver's socket",
                "description": f"JSON text frames of at most {FRAME_BYTES_MAX} bytes from the phone.",
                "servers": [{"$ref": "#/servers/flexlive"}],
                "messages": {each.__name__: {"$ref": f"#/components/messages/{each.__name__}"} for each in everything},
                "bindings": {"ws": _binding()},
            }
        },
        "operations": _operations(),
        "components": {
            "messages": {each.__name__: _message(each) for each in everything},
            "schemas": _schemas(everything),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "a driver's access token"},
                "ticket": {
                    "type": "httpApiKey",
                    "in": "query",
                    "name": "ticket",
                    "description": "for browsers: from POST /v1/driver/ticket, once, within 30 s",
                },
            },
        },
    }


def _description() -> str:
    codes = "\n".join(
        f"| {code.value} | {code.name.lower().replace('_', ' ')} | {_WHAT_NEXT[advice(code)]} |" for code in CloseCode
    )
    return (
        f"WebSocket subprotocol `{SUBPROTOCOL}`. The rules a client keeps, with pictures and recorded transcripts, are "
        "in docs/driver-protocol.md; what goes over HTTP is in the OpenAPI document at `/schema`.\n\n"
        "Unknown types, fields and words are to be ignored. Every command is answered by exactly one `result` and is "
        "safe to repeat under its `cmd`; facts carry a gap-free `seq`.\n\n"
        f"| Close code | Name | Then |\n|---|---|---|\n{codes}\n"
    )


def _binding() -> Json:
    return {
        "method": "GET",
        "headers": {
            "type": "object",
            "properties": {"Sec-WebSocket-Protocol": {"type": "string", "const": SUBPROTOCOL}},
            "required": ["Sec-WebSocket-Protocol"],
        },
        "query": {"type": "object", "properties": {"ticket": {"type": "string"}}},
        "bindingVersion": "0.1.0",
    }


def _operations() -> Json:
    opening = (*_OPENINGS, Snapshot, Live)
    steering = tuple(each for each in _messages(ControlMessage) if each not in (*opening, Result))
    assert set(steering) == {ServerHeartbeat, Drain, Error}
    return {
        "open": _operation("receive", (Hello,), "The first frame; answered by welcome, resumed or reset.", _OPENINGS),
        "command": _operation("receive", _messages(Command), "Does something; safe to repeat.", (Result,)),
        "signal": _operation("receive", _messages(Signal), "Not answered, except sync by a snapshot."),
        "opening": _operation("send", opening, "The state of things, or exactly what was missed."),
        "answer": _operation("send", (Result,), "The one answer to a command."),
        "fact": _operation("send", _messages(FactMessage), "Every one arrives, in order, counted by seq."),
        "state": _operation("send", _messages(StateMessage), "Newest wins; may be dropped."),
        "steering": _operation("send", steering, "Signs of life, of a restart, of a bad frame."),
    }


def _operation(
    action: str, messages: tuple[type[Struct], ...], summary: str, replies: tuple[type[Struct], ...] = ()
) -> Json:
    operation: Json = {
        "action": action,
        "channel": {"$ref": f"#/channels/{_CHANNEL}"},
        "summary": summary,
        "messages": _in_channel(messages),
    }
    if replies:
        operation["reply"] = {"channel": {"$ref": f"#/channels/{_CHANNEL}"}, "messages": _in_channel(replies)}
    return operation


def _in_channel(messages: tuple[type[Struct], ...]) -> list[Json]:
    return [{"$ref": f"#/channels/{_CHANNEL}/messages/{each.__name__}"} for each in messages]


def _message(struct: type[Struct]) -> Json:
    message: Json = {
        "name": str(struct.__struct_config__.tag),
        "title": struct.__name__,
        "contentType": "application/json",
        "payload": {"$ref": f"#/components/schemas/{struct.__name__}"},
    }
    if struct is Result or issubclass(struct, CommandFrame):
        message["correlationId"] = {"location": "$message.payload#/cmd"}
    return message


def _schemas(structs: tuple[type[Struct], ...]) -> Json:
    _, schemas = msgspec.json.schema_components(structs, ref_template="#/components/schemas/{name}")
    for struct in _with_parts(structs):
        properties = schemas[struct.__name__]["properties"]
        hints = get_type_hints(struct)
        for field in msgspec.structs.fields(struct):
            # msgspec names the format only where a time zone is demanded; what the server sends always has one.
            if datetime in (hints[field.name], *get_args(hints[field.name])):
                properties[field.encode_name] = _as_time(properties[field.encode_name])
    for name in ("Welcome", "Resumed", "Reset"):
        # The stored answers are kept as bytes; what they hold is results.
        schemas[name]["properties"]["results"]["items"] = {"$ref": "#/components/schemas/Result"}
    return schemas


def _as_time(schema: Json) -> Json:
    if "anyOf" in schema:
        return schema | {"anyOf": [_as_time(each) for each in schema["anyOf"]]}
    return schema | {"format": "date-time"} if schema["type"] == "string" else schema


def _with_parts(structs: tuple[type[Struct], ...]) -> set[type[Struct]]:
    found: set[type[Struct]] = set()
    waiting = list(structs)
    while waiting:
        struct = waiting.pop()
        if struct not in found:
            found.add(struct)
            for hint in get_type_hints(struct).values():
                waiting += _structs_in(hint)
    return found


def _structs_in(hint: Any) -> list[type[Struct]]:
    if isinstance(hint, type) and issubclass(hint, Struct):
        return [hint]
    return [struct for each in get_args(hint) for struct in _structs_in(each)]
