"""What the phone's session tells its shell to do, or that has happened."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from flexlive.protocol.server_frames import Result, ServerMessage


class ClientPhase(Enum):
    OFFLINE = "offline"
    OPENING = "opening"
    """hello is out; nothing was answered."""
    BEGUN = "begun"
    """welcome or reset came, the snapshot did not."""
    REPLAYING = "replaying"
    """resumed came, live did not."""
    LIVE = "live"


@dataclass(frozen=True, slots=True)
class SendFrame:
    data: bytes


@dataclass(frozen=True, slots=True)
class CloseSocket:
    """Close from this side; then `lost` and a new `open`."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Opened:
    """The state is complete and current. resumed: nothing was lost since the last connection."""

    resumed: bool


@dataclass(frozen=True, slots=True)
class Applied:
    """A server message, after it was applied to the state."""

    message: ServerMessage


@dataclass(frozen=True, slots=True)
class Answered:
    """The one answer to a command. `rate_limited`, after several attempts, decided nothing."""

    result: Result


@dataclass(frozen=True, slots=True)
class Violation:
    """The server broke the protocol, or the link lost or changed the order of what it sent."""

    text: str


Effect: TypeAlias = SendFrame | CloseSocket | Opened | Applied | Answered | Violation


class PendingFull(Exception):  # noqa: N818 - a limit, not a failure
    """Too many commands wait for their answers."""
