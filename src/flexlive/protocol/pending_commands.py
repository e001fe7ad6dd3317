"""The commands of one app that have no answer yet: in which order they go out, when one is asked for again, and which
answer is the one.

One command is on its way at a time, in the order given, since a `pickup.confirm` may depend on the `scan` before it;
only answers to an offer overtake, since somebody else may be quicker. They go out at the pace the server allows, so
that a queue filled in a lift does not run into its limits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import Final

from flexlive.protocol.client_frames import Command, OfferAccept, OfferDecline
from flexlive.protocol.limits import COMMANDS_BURST_PER_SECOND, COMMANDS_PER_MINUTE
from flexlive.protocol.rate_limit import TokenBucket
from flexlive.protocol.server_frames import Limits, Result

ANSWER_SECONDS: Final = 5.0
"""So long an answer may take before the command is sent again."""
ASK_AGAIN_BASE_SECONDS: Final = 1.0
ASK_AGAIN_CAP_SECONDS: Final = 15.0
"""Full jitter on top of ANSWER_SECONDS: drawn from [0, base · 2ⁿ), at most the cap."""
ASKED_MAX: Final = 4
"""Sent so often on one connection without an answer, the connection is worth nothing."""
ANSWERS_REMEMBERED_MAX: Final = 256
REFUSALS_MAX: Final = 5
"""So often a command refused as `rate_limited` is sent again before the app is told."""
REFUSED_RETRY_SECONDS: Final = 1.0
"""After a `rate_limited` that names no time."""


@dataclass(slots=True)
class _Asked:
    count: int
    again_at: float


class Verdict(Enum):
    """What an incoming `result` is. ANSWER: the one answer. REFUSED: nothing was decided, the command is sent again
    later. REPEATED: an answer that came before. CONTRADICTION: another one. UNKNOWN: to no command of ours."""

    ANSWER = "answer"
    REFUSED = "refused"
    REPEATED = "repeated"
    CONTRADICTION = "contradiction"
    UNKNOWN = "unknown"


class PendingCommands:
    """waiting: by cmd, in the order given. draw: uniform in [0, 1). Times are monotonic seconds."""

    __slots__ = ("_answered", "_asked", "_blocked_until", "_bucket", "_burst", "_draw", "_per_second", "_refusals",
                 "_refusals_max", "waiting")  # fmt: skip

    def __init__(self, draw: Callable[[], float], refusals_max: int) -> None:
        self.waiting: dict[str, Command] = {}
        self._draw = draw
        self._refusals_max = refusals_max
        self._refusals: dict[str, int] = {}
        self._asked: dict[str, _Asked] = {}
        self._answered: dict[str, Result] = {}
        self._burst, self._per_second = float(COMMANDS_BURST_PER_SECOND), COMMANDS_PER_MINUTE / 60
        self._bucket: TokenBucket | None = None
        self._blocked_until = 0.0

    def add(self, command: Command) -> None:
        """A command of the app; under a cmd that was answered before, its answer is to come again."""
        self._answered.pop(command.cmd, None)
        self.waiting[command.cmd] = command

    def allowed(self, limits: Limits) -> None:
        """What the server says a connection may do."""
        self._burst, self._per_second = limits.commands_burst_per_second, limits.commands_per_minute / 60

    def opened(self, now: float) -> None:
        """A session is live: nothing has been sent on this connection yet."""
        self._asked.clear()
        self._bucket = TokenBucket(self._burst, self._per_second, now)
        self._blocked_until = now

    def lost(self) -> None:
        self._asked.clear()
        self._bucket = None

    def spent(self, now: float) -> None:
        """Something else went out that counts as a command."""
        if self._bucket is not None:
            self._bucket.take(now)

    def due(self, now: float) -> list[Command]:
        """What to send now; it counts as sent."""
        if self._bucket is None or not self.waiting:
            return []
        going = [self.waiting[cmd] for cmd, asked in self._asked.items() if asked.again_at <= now]
        if now >= self._blocked_until:
            overtaking = [c for c in self.waiting.values() if _overtakes(c) and c.cmd not in self._asked]
            going += overtaking + self._next_in_order()
        sent: list[Command] = []
        self._blocked_until = max(self._blocked_until, now)
        for command in going:
            if not self._bucket.take(now):
                self._blocked_until = now + self._bucket.wait_seconds(now)
                break
            self._send(command.cmd, now)
            sent.append(command)
        return sent

    @property
    def hopeless(self) -> bool:
        """A command has been sent often enough on this connection, and the time for its answer is over."""
        return any(asked.count > ASKED_MAX for asked in self._asked.values())

    @property
    def next_at(self) -> float:
        """When `due` has something to say; infinity when nothing waits."""
        if self._bucket is None or not self.waiting:
            return inf
        again_at = min((asked.again_at for asked in self._asked.values()), default=inf)
        return min(again_at, self._blocked_until) if self._may_send_more() else again_at

    def answered(self, result: Result, now: float) -> tuple[Verdict, Command | None]:
        """Judge a result; the command is given when this ends it."""
        command = self.waiting.get(result.cmd)
        if command is None:
            return self._judge_late(result), None
        self._asked.pop(result.cmd, None)
        if result.code == "rate_limited":
            refusals = self._refusals.get(result.cmd, 0) + 1
            if refusals <= self._refusals_max:
                self._refusals[result.cmd] = refusals
                pause = REFUSED_RETRY_SECONDS if result.retry_after_ms is None else result.retry_after_ms / 1000
                # All wait: a later command must not pass the one that was refused.
                self._blocked_until = max(self._blocked_until, now + pause)
                return Verdict.REFUSED, None
        del self.waiting[result.cmd]
        self._refusals.pop(result.cmd, None)
        if result.code != "rate_limited":
            self._remember(result)
        return Verdict.ANSWER, command

    def _judge_late(self, result: Result) -> Verdict:
        first = self._answered.get(result.cmd)
        if first is None:
            # A refusal that was under way twice decided nothing, the first time or this.
            return Verdict.REPEATED if result.code == "rate_limited" else Verdict.UNKNOWN
        return Verdict.REPEATED if result.code == "rate_limited" or result == first else Verdict.CONTRADICTION

    def _remember(self, result: Result) -> None:
        self._answered[result.cmd] = result
        if len(self._answered) > ANSWERS_REMEMBERED_MAX:
            del self._answered[next(iter(self._answered))]

    def _next_in_order(self) -> list[Command]:
        if any(not _overtakes(self.waiting[cmd]) for cmd in self._asked):
            return []
        in_order = [command for command in self.waiting.values() if not _overtakes(command)]
        return in_order[:1]

    def _may_send_more(self) -> bool:
        if len(self._asked) >= len(self.waiting):
            return False
        return bool(self._next_in_order()) or any(
            _overtakes(command) and cmd not in self._asked for cmd, command in self.waiting.items()
        )

    def _send(self, cmd: str, now: float) -> None:
        asked = self._asked.setdefault(cmd, _Asked(0, inf))
        jitter = self._draw() * min(ASK_AGAIN_CAP_SECONDS, ASK_AGAIN_BASE_SECONDS * 2**asked.count)
        asked.count += 1
        asked.again_at = now + ANSWER_SECONDS + jitter


def _overtakes(command: Command) -> bool:
    return isinstance(command, OfferAccept | OfferDecline)
