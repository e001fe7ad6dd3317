"""What a driver client may be told, and what it reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from flexlive.client.backoff import BackoffOptions
from flexlive.protocol.close_codes import CloseCode
from flexlive.protocol.driver import Command


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """Limits of one client.

    messages_max: facts waiting for `async for`; when more come the backlog becomes one `Lagged`.
    rate_limit_retries_max: how often a command refused as `rate_limited` is sent again after the time it named.
    """

    app_version: str = "flexlive-client"
    backoff: BackoffOptions = field(default_factory=BackoffOptions)
    connect_timeout_seconds: float = 10.0
    opening_timeout_seconds: float = 15.0
    close_timeout_seconds: float = 2.0
    command_timeout_seconds: float = 30.0
    messages_max: int = 1024
    points_kept_max: int = 100
    rate_limit_retries_max: int = 5
    frame_bytes_max: int = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Lagged:
    """The reader was too slow and `dropped` messages were let go; `client.state` is complete all the same."""

    dropped: int


class ClientClosedError(Exception):
    """The server said: not again as you are (close code 4500–4999), or a refreshed token is needed and none came."""

    def __init__(self, code: int, reason: str) -> None:
        name = next((known.name.lower() for known in CloseCode if known == code), "closed")
        super().__init__(f"{code} {name}: {reason}")
        self.code = code
        self.reason = reason


class Observer(Protocol):
    """Sees what passes, for checkers and meters. Must return at once and not raise."""

    def frame_received(self, frame: bytes) -> None:
        """Every frame as the socket gave it, before anything is done with it."""
        ...

    def command_sent(self, command: Command) -> None:
        """A command was handed to the client (retries of the same cmd are not repeated here)."""
        ...

    def opened(self, resumed: bool) -> None:
        """A session is live and `state` is complete."""
        ...

    def closed(self, code: int, reason: str) -> None:
        """A socket ended or could not be opened (1006)."""
        ...

    def violation(self, text: str) -> None:
        """The server broke the protocol in a way the session noticed."""
        ...


class Silent:
    """The observer that is none."""

    def frame_received(self, frame: bytes) -> None:
        pass

    def command_sent(self, command: Command) -> None:
        pass

    def opened(self, resumed: bool) -> None:
        pass

    def closed(self, code: int, reason: str) -> None:
        pass

    def violation(self, text: str) -> None:
        pass
