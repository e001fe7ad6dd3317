"""Where a phone's session stands, and from where the next hello resumes it."""

from __future__ import annotations

from typing import Final

from flexlive.protocol.client_frames import Resume

HOLES_IN_A_ROW_MAX: Final = 3
"""Holes without progress between them, after which everything is asked for anew."""

OPENING_SECONDS_MAX: Final = 15.0
"""So long a socket may say nothing while it opens; a server that has just started answers thousands."""


class ResumePlace:
    """seq: of the last fact applied."""

    __slots__ = ("_epoch", "_holes", "_sid", "seq")

    def __init__(self) -> None:
        self.seq = 0
        self._sid: str | None = None
        self._epoch = ""
        self._holes = 0

    def begin(self, sid: str, epoch: str, seq: int) -> None:
        """A new session; what comes next is its snapshot."""
        self._sid, self._epoch, self.seq = sid, epoch, seq

    def advance(self, seq: int) -> None:
        """Everything up to seq is known."""
        self.seq, self._holes = seq, 0

    def hole(self) -> None:
        """Something after seq is missing. Asking for it again and again without progress ends the session."""
        self._holes += 1
        if self._holes >= HOLES_IN_A_ROW_MAX:
            self._sid, self._holes = None, 0

    def resume(self) -> Resume | None:
        """None: there is nothing to resume, ask for everything."""
        return None if self._sid is None else Resume(sid=self._sid, epoch=self._epoch, seq=self.seq)
