"""The lab's own books: what it ordered, what phones and pages said about it. Written by clients only."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from flexlive.lab.scenario import OrderPlan
from flexlive.lab.track_history import TrackHistory

TROUBLES_KEPT_MAX = 50


class Troubles:
    """Things that should not have happened: all counted, the first TROUBLES_KEPT_MAX kept in words."""

    def __init__(self) -> None:
        self.count = 0
        self.texts: list[str] = []

    def add(self, text: str) -> None:
        self.count += 1
        self.quote(text)

    def quote(self, text: str) -> None:
        """Keeps the words of something counted elsewhere."""
        if len(self.texts) < TROUBLES_KEPT_MAX:
            self.texts.append(text)


@dataclass(slots=True)
class OrderStory:
    """One order seen from outside the server. Times: Unix seconds; intended_at is when it should have been sent.

    readiness, cancelled: what the shop has been told is recorded.
    """

    plan: OrderPlan
    intended_at: float
    created: bool = False
    market_id: str = ""
    delivery_id: UUID | None = None
    tracking_url: str = ""
    accepted_at: float | None = None
    picked_up_at: float | None = None
    delivered_at: float | None = None
    readiness: str | None = None
    cancelled: bool = False
    page: TrackHistory | None = None
    page_connected: bool = False

    @property
    def external_delivery_id(self) -> str:
        return self.plan.external_delivery_id

    @property
    def ready_at(self) -> float:
        return self.intended_at + self.plan.prep_seconds


@dataclass(slots=True)
class Book:
    """Everything a run collects outside the fleet process."""

    orders: dict[str, OrderStory] = field(default_factory=dict[str, OrderStory])
    troubles: Troubles = field(default_factory=Troubles)
    won_at: dict[UUID, float] = field(default_factory=dict[UUID, float])

    def accepted(self, offer_id: UUID, external_delivery_ids: tuple[str, ...]) -> None:
        """The winner's route named its deliveries."""
        for name in external_delivery_ids:
            if (order := self.orders.get(name)) is not None and order.accepted_at is None:
                order.accepted_at = self.won_at.get(offer_id)

    @property
    def created(self) -> list[OrderStory]:
        return [order for order in self.orders.values() if order.created]
