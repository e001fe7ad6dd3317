"""One wheel for all sockets' deadlines: a timer each would cost the loop a heap operation per frame."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class TimingWheel(Generic[T]):
    """Items come due at most one tick before or after their delay, then whoever gets them looks at the clock.
    Times are monotonic seconds.

    There is no cancelling: an item that no longer matters is ignored when it comes due.
    """

    __slots__ = ("_slots", "_tick_seconds", "_turned_to")

    def __init__(self, now: float, *, tick_seconds: float, slots: int) -> None:
        self._tick_seconds = tick_seconds
        self._slots: list[list[T]] = [[] for _ in range(slots)]
        self._turned_to = int(now / tick_seconds)

    @property
    def delay_seconds_max(self) -> float:
        """One turn of the wheel, less the slot being emptied."""
        return (len(self._slots) - 1) * self._tick_seconds

    def schedule(self, item: T, delay_seconds: float) -> None:
        """Due after delay_seconds (0 to delay_seconds_max, else ValueError), counted from the last `advance`."""
        if not 0 <= delay_seconds <= self.delay_seconds_max:
            raise ValueError(f"the wheel turns once in {self.delay_seconds_max} s")
        ticks = max(1, -int(-delay_seconds // self._tick_seconds))
        self._slots[(self._turned_to + ticks) % len(self._slots)].append(item)

    def advance(self, now: float) -> list[T]:
        """Turn the wheel to now and take what came due, in order."""
        target = int(now / self._tick_seconds)
        due: list[T] = []
        # After a standstill longer than a turn every slot is due once.
        self._turned_to = max(self._turned_to, target - len(self._slots))
        while self._turned_to < target:
            self._turned_to += 1
            slot = self._turned_to % len(self._slots)
            if self._slots[slot]:
                due += self._slots[slot]
                self._slots[slot] = []
        return due
