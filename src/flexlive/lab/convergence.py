"""When faults have stopped: how long until every phone, page and shop is where the database is (I8). Pure judgement.

The database moves on while clients are looked at, so it is read before and after: a client must not be behind the
first reading, and must not hold what was over by then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from flexlive.lab.book import OrderStory
from flexlive.lab.fleet_messages import PhoneState
from flexlive.storage.audit import DeliveryStanding, RouteStanding

ACTIVE = "active"


@dataclass(frozen=True, slots=True)
class Reading:
    """The database at one moment. orders: by external_delivery_id."""

    routes: Mapping[UUID, RouteStanding]
    offers_over: frozenset[UUID]
    orders: Mapping[str, DeliveryStanding]


def phone_lags(phone: PhoneState, before: Reading, after: Reading, quiet_since: float) -> str | None:
    """What this phone has still to learn; None when it is where it should be. quiet_since: Unix seconds."""
    if not phone.on_duty:
        return None
    if not phone.connected:
        return "has no session"
    if phone.unanswered_since is not None and phone.unanswered_since < quiet_since:
        return "waits for an answer from before"
    for route in before.routes.values():
        held = phone.routes.get(route.route_id)
        if route.driver_id == phone.driver_id and route.status == ACTIVE:
            still = after.routes[route.route_id]
            # It may have ended between the two readings, and the phone may know.
            if held is None and still.status == ACTIVE:
                return f"does not know its route {route.route_id}"
            if held is not None and held < route.version:
                return f"has route {route.route_id} in version {held} of {route.version}"
        elif held is not None and (route.driver_id != phone.driver_id or route.status != ACTIVE):
            return f"holds route {route.route_id}, which is over or another driver's"
    dead = before.offers_over.intersection(phone.offers)
    return f"shows offer {min(dead)}, which is over" if dead else None


def page_lags(order: OrderStory, before: Reading) -> str | None:
    """What this page has still to learn."""
    standing = before.orders.get(order.external_delivery_id)
    if standing is None or order.page is None or order.page.ended:
        return None
    if not order.page_connected:
        return "has no stream"
    missing = order.page.missing(standing.track_seq)
    return f"misses {missing} facts" if missing else None


def shop_lags(order: OrderStory, quiet_since: float) -> str | None:
    """Whether an order from before still has no answer."""
    return "has no answer to its order" if not order.created and order.intended_at < quiet_since else None


@dataclass(slots=True)
class Convergence:
    """Collects looks. quiet_since: Unix seconds of the last fault; seconds: when each client was first in step."""

    quiet_since: float
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    lagging: dict[str, str] = field(default_factory=dict[str, str])

    def look(
        self,
        at: float,
        phones: Sequence[PhoneState],
        orders: Sequence[OrderStory],
        before: Reading,
        after: Reading,
    ) -> bool:
        """One more look, at Unix seconds; whether every client has been in step since the faults stopped."""
        self.lagging = {}
        for phone in phones:
            if phone.on_duty:
                self._judge(f"phone {phone.driver_id}", at, phone_lags(phone, before, after, self.quiet_since))
        for order in orders:
            # Later orders' pages and answers say nothing about the fault.
            if order.intended_at < self.quiet_since:
                name = order.external_delivery_id
                self._judge(f"shop of {name}", at, shop_lags(order, self.quiet_since))
                if order.created:
                    self._judge(f"page of {name}", at, page_lags(order, before))
        return not self.lagging

    def _judge(self, client: str, at: float, lag: str | None) -> None:
        if client in self.seconds:
            return
        if lag is None:
            self.seconds[client] = at - self.quiet_since
        else:
            self.lagging[client] = lag
