"""May this hello go on where the last session stopped? All or nothing: never a partial replay."""

from __future__ import annotations

from dataclasses import dataclass
from hmac import compare_digest
from typing import TypeAlias

from flexlive.protocol.client_frames import Resume
from flexlive.protocol.wire_types import ResetReason


@dataclass(frozen=True, slots=True)
class Remembered:
    """The driver's session this process still holds. Facts (replayable_after, last_seq] are in its ring."""

    sid: str
    replayable_after: int
    last_seq: int


@dataclass(frozen=True, slots=True)
class Fresh:
    """No resume asked for: welcome and snapshot."""


@dataclass(frozen=True, slots=True)
class Replay:
    """Send exactly the facts (from_seq, to_seq]."""

    from_seq: int
    to_seq: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """Reset and snapshot."""

    reason: ResetReason


ResumeDecision: TypeAlias = Fresh | Replay | Refuse


def decide_resume(resume: Resume | None, epoch: str, remembered: Remembered | None) -> ResumeDecision:
    """epoch: this process's boot id. remembered: the session of the *authenticated* driver, so a `sid` that
    belongs to someone else is simply unknown."""
    if resume is None:
        return Fresh()
    if resume.epoch != epoch:
        return Refuse("other_epoch")
    if remembered is None or not compare_digest(resume.sid.encode(), remembered.sid.encode()):
        return Refuse("unknown_session")
    if not remembered.replayable_after <= resume.seq <= remembered.last_seq:
        return Refuse("too_old")
    return Replay(resume.seq, remembered.last_seq)
