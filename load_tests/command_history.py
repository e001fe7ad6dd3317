"""What one phone asked and was answered: the client's side of "one effect and one answer a command"."""

from __future__ import annotations

import hashlib
from collections import Counter
from uuid import UUID

import msgspec

from flexlive.protocol.driver import Command, OfferAccept, OfferDecline, PresenceSet, Result, RouteForfeit

_RESULT = b'{"type":"result"'
_OPENINGS = (b'{"type":"welcome"', b'{"type":"resumed"', b'{"type":"reset"')
VIOLATIONS_MAX = 20
PRIVATE_CODES = 4000
"""From here on a close code is the server's own word."""


class _Opening(msgspec.Struct):
    """welcome, resumed and reset, as far as answers go."""

    results: tuple[msgspec.Raw, ...] = ()


class CommandHistory:
    """An observer of one `DriverClient`: every frame as the socket gave it, repeated ones included.

    sent, answers: by cmd, in the order they were first sent. answer_frames: all that came, repetitions counted.
    """

    def __init__(self, driver_id: UUID, device_id: str) -> None:
        self.driver_id, self.device_id = driver_id, device_id
        self.sent: dict[str, Command] = {}
        self.answers: dict[str, Result] = {}
        self.digests: dict[str, str] = {}
        self.answer_frames = 0
        self.rate_limited = 0
        self.openings: Counter[str] = Counter()
        self.closes: Counter[str] = Counter()
        self.snapshots = 0
        self.broken: list[str] = []
        self.noticed: Counter[str] = Counter()

    # flexlive.client.Observer

    def frame_received(self, frame: bytes) -> None:
        if frame.startswith(b'{"type":"snapshot"'):
            self.snapshots += 1
        if frame.startswith(_RESULT):
            self._answered(msgspec.json.decode(frame, type=Result), frame)
        elif frame.startswith(_OPENINGS):
            for raw in msgspec.json.decode(frame, type=_Opening).results:
                self._answered(msgspec.json.decode(raw, type=Result), bytes(raw))

    def command_sent(self, command: Command) -> None:
        known = self.sent.setdefault(command.cmd, command)
        if known != command:
            self._break(f"cmd {command.cmd} was used for two commands")

    def opened(self, resumed: bool) -> None:
        self.openings["resumed" if resumed else "snapshot"] += 1

    def closed(self, code: int, reason: str) -> None:
        self.closes[f"{code} {reason}"[:80] if code >= PRIVATE_CODES else str(code)] += 1

    def violation(self, text: str) -> None:
        self.noticed[text.split(" ")[0]] += 1

    # For the judge

    @property
    def won(self) -> list[UUID]:
        """Offers this phone was told it had won."""
        return [
            command.offer_id
            for cmd, command in self.sent.items()
            if isinstance(command, OfferAccept) and self._code(cmd) == "won"
        ]

    @property
    def mode_changes(self) -> list[str]:
        """The commands that changed presence, if each took effect once and in the order sent."""
        changes: list[str] = []
        mode = "offline"
        for cmd, command in self.sent.items():
            if isinstance(command, PresenceSet) and self._code(cmd) == "ok" and command.mode != mode:
                changes.append(cmd)
                mode = command.mode
        return changes

    @property
    def forfeited(self) -> set[UUID]:
        """Routes given back."""
        return {c.route_id for cmd, c in self.sent.items() if isinstance(c, RouteForfeit) and self._code(cmd) == "ok"}

    @property
    def declined(self) -> set[UUID]:
        """Offers declined."""
        return {c.offer_id for cmd, c in self.sent.items() if isinstance(c, OfferDecline) and self._code(cmd) == "ok"}

    @property
    def unanswered(self) -> list[str]:
        return [cmd for cmd in self.sent if cmd not in self.answers]

    def _code(self, cmd: str) -> str | None:
        answer = self.answers.get(cmd)
        return None if answer is None else answer.code

    def _answered(self, result: Result, body: bytes) -> None:
        self.answer_frames += 1
        if result.code == "rate_limited":
            self.rate_limited += 1
            return
        if result.cmd not in self.sent:
            self._break(f"an answer to {result.cmd}, which was never sent")
            return
        digest = hashlib.sha256(body).hexdigest()
        if self.digests.setdefault(result.cmd, digest) != digest:
            self._break(f"{result.cmd} was answered {self.answers[result.cmd].code}, then {result.code} in other bytes")
        self.answers.setdefault(result.cmd, result)

    def _break(self, text: str) -> None:
        if len(self.broken) < VIOLATIONS_MAX:
            self.broken.append(f"{self.device_id}: {text}")
