"""What is heard of a backend: frames held to the protocol, answers to hello, and how a scenario says what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from flexlive.protocol.codec import BadFrame, decode_server
from flexlive.protocol.driver import FactMessage

Message: TypeAlias = dict[str, Any]
FACTS = frozenset(str(kind.__struct_config__.tag) for kind in FactMessage.__args__)


class Broken(Exception):  # noqa: N818 - a finding, not a failure of this program
    """The backend did not keep the protocol; str() says where."""


class Ended(Exception):  # noqa: N818 - how sockets end
    """The server closed. code: 1006 when it did so without saying why."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"the server closed {code} {reason}".rstrip())
        self.code = code


@dataclass(frozen=True, slots=True)
class Heard:
    """A frame as it came, and what it says."""

    raw: bytes
    message: Message

    @property
    def type(self) -> str:
        return str(self.message["type"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """The answer to hello. facts: the replay of a `resumed`; snapshot: what follows `welcome` and `reset`."""

    answer: Heard
    facts: tuple[Heard, ...] = ()
    snapshot: Message | None = None

    @property
    def kind(self) -> str:
        return self.answer.type

    @property
    def sid(self) -> str:
        return str(self.answer.message["sid"])

    @property
    def results(self) -> list[bytes]:
        """The stored answers, byte for byte."""
        return [bytes(raw) for raw in getattr(decode_server(self.answer.raw), "results", ())]

    @property
    def unknown(self) -> list[str]:
        return list(self.answer.message.get("unknown_commands", ()))


def expect(condition: object, text: str) -> None:
    """Broken, unless it holds."""
    if not condition:
        raise Broken(text)


def judged(frame: str | bytes) -> Heard:
    """Broken for what is no frame of the protocol."""
    if isinstance(frame, bytes):
        raise Broken("a binary frame; frames are text")
    known = decode_server(frame)
    if isinstance(known, BadFrame):
        raise Broken(f"a frame that is none of the protocol's: {known.message}")
    return Heard(frame.encode(), msgspec.json.decode(frame))
