"""Bytes ↔ messages of the driver protocol.

A fact that many drivers get is encoded once: its `seq` stands first in a hole of fixed width, padded with spaces,
so each session only writes its own ten characters (`{"seq":        42,"type":…` is legal JSON).

Repeated keys: the last one wins, as in JavaScript's JSON.parse; nothing downstream sees the raw text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import msgspec

from flexlive.protocol import instants
from flexlive.protocol.client_frames import ClientMessage, Command
from flexlive.protocol.limits import FRAME_BYTES_MAX, SEQ_DIGITS
from flexlive.protocol.server_frames import FactMessage, ServerMessage
from flexlive.protocol.wire_types import Cmd

_FACT_OPENING: Final = b'{"seq":'

BadFrameCode: TypeAlias = Literal[
    "frame_too_large", "not_text", "not_utf8", "not_json", "nested_too_deep", "invalid_message"
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class BadFrame:
    """A frame that is not a message. message: for the app's developer; repeats no value from the frame."""

    code: BadFrameCode
    message: str


@dataclass(frozen=True, slots=True)
class InvalidCommand:
    """A command out of its bounds, or of a type this server does not know; its `cmd` can still be answered."""

    cmd: str
    message: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """A well-formed frame of a type from a later minor version; ignored."""

    type: str


Decoded: TypeAlias = ClientMessage | InvalidCommand | Unknown | BadFrame


class _Peek(msgspec.Struct, frozen=True, gc=False):
    type: str
    cmd: Cmd | None = None


_client_decoder = msgspec.json.Decoder(ClientMessage)
_server_decoder = msgspec.json.Decoder(ServerMessage)
_peek_decoder = msgspec.json.Decoder(_Peek)
_encoder = msgspec.json.Encoder()


def _tags(union: object) -> frozenset[str]:
    members: tuple[type[msgspec.Struct], ...] = getattr(union, "__args__", ())
    return frozenset(str(member.__struct_config__.tag) for member in members)


_CLIENT_TAGS: Final = _tags(ClientMessage)
_COMMAND_TAGS: Final = _tags(Command)
_FACT_TAGS: Final = _tags(FactMessage)
_SERVER_TAGS: Final = _tags(ServerMessage)


def decode_client(frame: bytes | str) -> Decoded:
    """What a phone sent, checked against every bound. Never raises, whatever the bytes."""
    size_bytes = len(frame)
    if size_bytes <= FRAME_BYTES_MAX and isinstance(frame, str) and not frame.isascii():
        size_bytes = len(frame.encode(errors="surrogatepass"))
    if size_bytes > FRAME_BYTES_MAX:
        return BadFrame("frame_too_large", f"a frame is at most {FRAME_BYTES_MAX} bytes")
    try:
        message = _client_decoder.decode(frame)
    except msgspec.ValidationError as error:
        return _diagnose(frame, str(error))
    except msgspec.DecodeError:
        return BadFrame("not_json", "a frame is one JSON object")
    except UnicodeError:
        return BadFrame("not_utf8", "a frame is UTF-8")
    except RecursionError:
        return BadFrame("nested_too_deep", "the frame is nested too deep")
    # PostgreSQL stores every character but this one.
    nul = b"\\u0000" in frame if isinstance(frame, bytes) else "\\u0000" in frame
    if nul:
        return _diagnose(frame, "U+0000 is not a character of any text")
    return message if instants.in_range(message) else _diagnose(frame, instants.OUT_OF_RANGE)


def _diagnose(frame: bytes | str, error: str) -> Decoded:
    try:
        peek = _peek_decoder.decode(frame)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return BadFrame("invalid_message", "a frame has a `type`, and a command a `cmd` of 1–64 printable ASCII")
    if peek.type not in _CLIENT_TAGS:
        return InvalidCommand(peek.cmd, "unknown command") if peek.cmd is not None else Unknown(peek.type)
    message = _without_values(error)
    if peek.type in _COMMAND_TAGS and peek.cmd is not None:
        return InvalidCommand(peek.cmd, message)
    return BadFrame("invalid_message", f"{peek.type}: {message}")


def _without_values(text: str) -> str:
    # msgspec quotes the offending word of an enumeration; logs and answers carry nothing a phone sent.
    return text.split("'")[0].strip() if text.startswith("Invalid") else text


def encode_client(message: ClientMessage) -> bytes:
    return _encoder.encode(message)


def encode_server(message: ServerMessage) -> bytes:
    return _encoder.encode(message)


def decode_server(frame: bytes | str) -> ServerMessage | Unknown | BadFrame:
    """What a server sent, for clients: types and fields from later versions are ignored. Never raises."""
    try:
        return _server_decoder.decode(frame)
    except msgspec.ValidationError as error:
        try:
            type_ = _peek_decoder.decode(frame).type
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return BadFrame("invalid_message", "a frame has a `type`")
        return Unknown(type_) if type_ not in _SERVER_TAGS else BadFrame("invalid_message", f"{type_}: {error}")
    except msgspec.DecodeError:
        return BadFrame("not_json", "a frame is one JSON object")
    except UnicodeError:
        return BadFrame("not_utf8", "a frame is UTF-8")
    except RecursionError:
        return BadFrame("nested_too_deep", "the frame is nested too deep")


class FactTemplate(msgspec.Struct, frozen=True, gc=False):
    """A fact with a hole where each session writes its seq.

    tail: everything after the hole. framed_opening: WebSocket header plus everything before the hole; the frame
    has one length whatever the seq, so the header is computed once for all receivers.
    """

    tail: bytes
    framed_opening: bytes


def fact_template(type_: str, body: bytes) -> FactTemplate:
    """A template for the fact `type_` whose other fields are the JSON object `body`, without `type` and `seq`."""
    if type_ not in _FACT_TAGS:
        raise ValueError(f"{type_} is not a fact")
    if body[:1] != b"{" or body[-1:] != b"}":
        raise ValueError("the body of a fact is a JSON object")
    fields = body[1:].lstrip()
    tail = b',"type":"%b"%b%b' % (type_.encode(), b"" if fields == b"}" else b",", fields)
    payload_bytes = len(_FACT_OPENING) + SEQ_DIGITS + len(tail)
    return FactTemplate(tail, text_frame_header(payload_bytes) + _FACT_OPENING)


def splice_seq(template: FactTemplate, seq: int) -> bytes:
    """The fact as one session sends it (JSON, no WebSocket header)."""
    return b'{"seq":%10d%b' % (seq, template.tail)


def splice_framed(template: FactTemplate, seq: int) -> bytes:
    """The fact as one session sends it, WebSocket header included: ready for the transport."""
    return b"%b%10d%b" % (template.framed_opening, seq, template.tail)


def text_frame_header(payload_bytes: int) -> bytes:
    """RFC 6455 §5.2: header of one final, unmasked, uncompressed text frame."""
    if payload_bytes < 126:
        return bytes((0x81, payload_bytes))
    if payload_bytes < 1 << 16:
        return b"\x81\x7e" + payload_bytes.to_bytes(2, "big")
    return b"\x81\x7f" + payload_bytes.to_bytes(8, "big")


def encode_result(
    cmd: str, *, ok: bool, code: str, retry_after_ms: int | None = None, current: dict[str, object] | None = None
) -> bytes:
    """The body of a `result` frame; the same arguments give the same bytes."""
    fields: dict[str, object] = {"type": "result", "cmd": cmd, "ok": ok, "code": code}
    if retry_after_ms is not None:
        fields["retry_after_ms"] = retry_after_ms
    if current is not None:
        fields["current"] = current
    return _encoder.encode(fields)
