"""What a fleet counts and says: one collector for all its phones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from flexlive.lab.driver_history import DriverHistory
from flexlive.lab.fleet_messages import (
    Assigned,
    Delivered,
    Finished,
    FirstOffer,
    FleetLine,
    PickedUp,
    Tally,
    Trouble,
    Won,
)
from flexlive.protocol.driver import RouteView

TROUBLE_LINES_MAX = 50
VIOLATION_LINES_MAX = 100


@dataclass(slots=True)
class FleetReport:
    """say: writes a line to the demo. Times are Unix seconds, samples milliseconds."""

    say: Callable[[FleetLine], None]
    connected: int = 0
    online: int = 0
    busy: int = 0
    offers_shown: int = 0
    reconnects: int = 0
    errors: int = 0
    refused: Counter[str] = field(default_factory=Counter[str])
    wins: dict[UUID, list[UUID]] = field(default_factory=dict[UUID, list[UUID]])
    delivered: list[str] = field(default_factory=list[str])
    offers_seen: set[UUID] = field(default_factory=set[UUID])
    histories: list[DriverHistory] = field(default_factory=list[DriverHistory])
    _push_ms: list[float] = field(default_factory=list[float])
    _accept_ms: list[float] = field(default_factory=list[float])
    _late_ms: list[float] = field(default_factory=list[float])
    _accepts_won: int = 0

    def shown(self, offer_id: UUID, at: float) -> None:
        """An offer is on a phone."""
        self.offers_shown += 1
        if not self.offers_seen:
            self.say(FirstOffer(at))
        self.offers_seen.add(offer_id)

    def pushed(self, milliseconds: float) -> None:
        """How old a fresh offer was when it reached a phone that stood waiting for it."""
        self._push_ms.append(round(milliseconds, 3))

    def answered(self, milliseconds: float) -> None:
        """How long an accept took from the tap to the answer, whatever the answer."""
        self._accept_ms.append(round(milliseconds, 3))

    def late(self, milliseconds: float) -> None:
        """How late a timer of this process rang."""
        self._late_ms.append(round(milliseconds, 3))

    def won(self, offer_id: UUID, driver_id: UUID, at: float) -> None:
        self._accepts_won += 1
        self.wins.setdefault(offer_id, []).append(driver_id)
        self.say(Won(offer_id, driver_id, at))

    def refuse(self, code: str) -> None:
        self.refused[code] += 1

    def assigned(self, route: RouteView) -> None:
        """The route of a won offer has come."""
        if route.offer_id is not None:
            names = {d.external_delivery_id for stop in route.stops for d in stop.deliveries}
            self.say(Assigned(route.offer_id, tuple(sorted(names))))

    def picked_up(self, external_delivery_ids: tuple[str, ...], at: float) -> None:
        self.say(PickedUp(external_delivery_ids, at))

    def deliver(self, external_delivery_id: str, at: float) -> None:
        self.delivered.append(external_delivery_id)
        self.say(Delivered(external_delivery_id, at))

    def trouble(self, text: str) -> None:
        self.errors += 1
        if self.errors <= TROUBLE_LINES_MAX:
            self.say(Trouble(text))

    def tally(self) -> None:
        """Says the counters and hands over the samples collected since the last time."""
        push_ms, self._push_ms = self._push_ms, []
        accept_ms, self._accept_ms = self._accept_ms, []
        late_ms, self._late_ms = self._late_ms, []
        self.say(
            Tally(
                connected=self.connected,
                online=self.online,
                busy=self.busy,
                offers_seen=len(self.offers_seen),
                offers_shown=self.offers_shown,
                accepts_won=self._accepts_won,
                accepts_refused=dict(self.refused),
                deliveries_delivered=len(self.delivered),
                facts=sum(history.facts for history in self.histories),
                reconnects=self.reconnects,
                errors=self.errors,
                push_ms=tuple(push_ms),
                accept_ms=tuple(accept_ms),
                late_ms=tuple(late_ms),
            )
        )

    def finish(self) -> None:
        """The last tally and the findings of every phone's history."""
        self.tally()
        violations = [text for history in self.histories for text in history.violations]
        self.say(
            Finished(
                wins={offer: tuple(drivers) for offer, drivers in self.wins.items()},
                delivered=tuple(self.delivered),
                offers_seen=tuple(self.offers_seen),
                violations=tuple(violations[:VIOLATION_LINES_MAX]),
                violation_count=sum(history.violation_count for history in self.histories),
            )
        )
