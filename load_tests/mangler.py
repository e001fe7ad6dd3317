"""One direction of a bad link: which of its frames arrive, how often, and after which others. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFaults:
    """What a bad link does to frames. window_frames: a frame is overtaken by fewer than so many.

    hold_seconds: mean time between two frames that are let go; pause_share of these times are drawn from up to
    pause_seconds_max instead, so that a repeated frame may come long after it was answered.
    half_open_every_seconds: mean time of a connection between two silences; of these, cut_share end in a cut.
    """

    duplicated_share: float = 0.20
    dropped_share: float = 0.10
    window_frames: int = 8
    hold_seconds: float = 0.004
    pause_share: float = 0.05
    pause_seconds_max: float = 0.6
    half_open_every_seconds: float = 20.0
    half_open_seconds_min: float = 0.5
    half_open_seconds_max: float = 6.0
    cut_share: float = 0.5


@dataclass(slots=True)
class _Held:
    frame: bytes
    overtaken: int = 0


class Mangler:
    """draw: uniform in [0, 1). counts: what was done, shared by all directions of a link."""

    def __init__(self, faults: LinkFaults, draw: Callable[[], float], counts: Counter[str]) -> None:
        self._faults, self._draw, self._counts = faults, draw, counts
        self._held: list[_Held] = []

    def __len__(self) -> int:
        return len(self._held)

    def take(self, frame: bytes) -> list[bytes]:
        """A frame arrives: it is lost, or held once or twice. Returns what the window has no room for any more."""
        self._counts["frames"] += 1
        if self.loses():
            return []
        self._held.append(_Held(frame))
        if self._draw() < self._faults.duplicated_share:
            self._counts["duplicated"] += 1
            self._held.append(_Held(frame))
        return [self.let_go() for _ in range(len(self._held) - self._faults.window_frames)]

    def loses(self) -> bool:
        """Whether the next frame is lost."""
        lost = self._draw() < self._faults.dropped_share
        self._counts["dropped"] += lost
        return lost

    def let_go(self) -> bytes:
        """One of the frames held: any of them, unless the oldest has been overtaken as often as it may be."""
        oldest = self._held[0]
        at = 0 if oldest.overtaken >= self._faults.window_frames - 1 else int(self._draw() * len(self._held))
        self._counts["reordered"] += at > 0
        for older in self._held[:at]:
            older.overtaken += 1
        return self._held.pop(at).frame

    def delay_seconds(self) -> float:
        """Until the next frame is let go."""
        if self._draw() < self._faults.pause_share:
            return self._draw() * self._faults.pause_seconds_max
        return self._draw() * 2 * self._faults.hold_seconds

    def flush(self) -> list[bytes]:
        """All that is held, in the order it came."""
        held, self._held = self._held, []
        return [each.frame for each in held]
