"""One socket between a phone and the server: frames under way in both directions, which a bad link may repeat, lose or
shuffle, and what the law says of each frame the server writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flexlive.protocol.codec import FactTemplate, splice_seq
from flexlive.web.driver_connection import DriverConnection


@dataclass(frozen=True, slots=True)
class Closed:
    code: int


class Wire:
    """The server's Link. down: what the phone has not read; up: what the server has not read."""

    def __init__(self, now: Callable[[], float], written: Callable[[Wire, bytes], None]) -> None:
        self._now, self._written = now, written
        self.connection: DriverConnection
        self.up: list[str] = []
        self.down: list[bytes | Closed] = []
        self.mangled = False
        self.server_closed = False
        self.gone = False
        """The server knows that the socket has ended."""
        self.resumes: str | None = None
        """The session the phone asked to resume."""
        self.expected_seq: int | None = None
        self.replay_upto: int | None = None
        self._stalled_at: float | None = None

    # Link

    def send(self, payload: bytes) -> None:
        if not self.server_closed:
            self._written(self, payload)
            self.down.append(payload)

    def send_fact(self, template: FactTemplate, seq: int) -> None:
        self.send(splice_seq(template, seq))

    def buffered_bytes(self) -> int:
        return 0 if self._stalled_at is None else sum(len(f) for f in self.down if isinstance(f, bytes))

    def stalled_seconds(self) -> float:
        return 0.0 if self._stalled_at is None else self._now() - self._stalled_at

    def close(self, code: int, reason: str) -> None:
        if not self.server_closed:
            self.server_closed = True
            self.down.append(Closed(code))

    async def run(self, receiver: object) -> None:
        raise AssertionError("frames are handed over by the simulation")

    # The link's faults

    def stall(self, stalled: bool) -> None:
        """The phone stops reading, or goes on."""
        if stalled and self._stalled_at is None:
            self._stalled_at = self._now()
        elif not stalled and self._stalled_at is not None:
            self._stalled_at = None
            if not self.gone:
                self.connection.drained()

    @property
    def stalled(self) -> bool:
        return self._stalled_at is not None

    @property
    def busy(self) -> bool:
        """Whether something can still arrive."""
        return bool((self.up and not self.server_closed) or (self.down and not self.stalled))

    def repeat(self, up: bool, at: int, to: int) -> None:
        """A frame comes twice, the second time behind others."""
        frames = self._frames(up)
        if frames:
            self.mangled = True
            at %= len(frames)
            frames.insert(min(len(frames), at + 1 + to), frames[at])

    def lose(self, up: bool, at: int) -> None:
        frames = self._frames(up)
        if frames and not isinstance(frames[at % len(frames)], Closed):
            self.mangled = True
            del frames[at % len(frames)]

    def swap(self, up: bool, at: int) -> None:
        frames = self._frames(up)
        if len(frames) > 1:
            at %= len(frames) - 1
            if not isinstance(frames[at + 1], Closed):
                self.mangled = True
                frames[at], frames[at + 1] = frames[at + 1], frames[at]

    def _frames(self, up: bool) -> list[Any]:
        return self.up if up else self.down
