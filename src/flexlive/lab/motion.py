"""Where a car is: standing, or on the straight line between two places."""

from __future__ import annotations

from dataclasses import dataclass

from flexlive.lab.geo import Place, between


@dataclass(frozen=True, slots=True)
class Motion:
    """One leg. Seconds on the caller's clock; a leg of no length in time is standing at `to`."""

    start: Place
    to: Place
    begun_at: float
    seconds: float

    @classmethod
    def standing(cls, place: Place, now: float) -> Motion:
        return cls(place, place, now, 0.0)

    @property
    def ends_at(self) -> float:
        return self.begun_at + self.seconds

    def moving(self, now: float) -> bool:
        return now < self.ends_at and self.start != self.to

    def place(self, now: float) -> Place:
        """Where the car is now."""
        if self.seconds <= 0 or now >= self.ends_at:
            return self.to
        return between(self.start, self.to, (now - self.begun_at) / self.seconds)
