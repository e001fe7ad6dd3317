"""Answers to commands: encoded once, stored with their effect, repeated byte for byte."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from flexlive.protocol.codec import encode_server
from flexlive.protocol.driver import Command, Result

_CODES_OK: Final = frozenset({"ok", "won", "entered"})
_encoder = msgspec.json.Encoder(order="deterministic")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a use case decided: a result code of the protocol, and the present state where that helps the phone."""

    code: str
    current: Mapping[str, Any] | None = None

    @property
    def ok(self) -> bool:
        return self.code in _CODES_OK


OK: Final = Answer("ok")


def request_sha256(command: Command) -> bytes:
    """What a retry must match: the command as understood, without the acknowledgement it happens to carry."""
    return hashlib.sha256(_encoder.encode(msgspec.structs.replace(command, ack=None))).digest()


def result_body(cmd: str, answer: Answer) -> bytes:
    """The `result` frame."""
    current = None if answer.current is None else dict(answer.current)
    return encode_server(Result(cmd=cmd, ok=answer.ok, code=answer.code, current=current))
