"""What a driver knows, built from server frames. Applying a fact twice, or after a snapshot that already has it,
changes nothing in the end."""

from __future__ import annotations

from collections.abc import Set
from uuid import UUID

from msgspec.structs import replace

from flexlive.protocol.client_frames import Command, OfferAccept, OfferDecline
from flexlive.protocol.server_frames import (
    DeliveryUpdate,
    EnrolmentUpdate,
    FactMessage,
    Notice,
    OfferDecided,
    OfferGone,
    OfferOpen,
    OfferUpdate,
    Result,
    RouteUpdate,
    Skip,
    Snapshot,
)
from flexlive.protocol.views import OfferView, RouteView

OFFER_SETTLED_CODES = frozenset({"won", "taken", "lost", "expired", "withdrawn"})
"""Answers to offer.accept after which the offer is no longer on this driver's board."""

SETTLED_OFFERS_MAX = 1_000
"""Offers remembered as over for this driver; the oldest is forgotten first, long after its last fact."""


class DriverState:
    """offers: those to be had. routes: the active ones. inbox_seq: the last inbox row seen."""

    __slots__ = ("_delivery_versions", "_settled", "inbox_seq", "offers", "presence", "routes")

    def __init__(self) -> None:
        self.offers: dict[UUID, OfferView] = {}
        self.routes: dict[UUID, RouteView] = {}
        self.presence = "offline"
        self.inbox_seq = 0
        self._delivery_versions: dict[UUID, int] = {}
        # An answer overtakes the facts that were under way when it was given: a late offer.update must not bring
        # back a card that is over.
        self._settled: dict[UUID, None] = {}

    @property
    def settled(self) -> Set[UUID]:
        """Offers known to be over for this driver; no late word of them brings back a card."""
        return self._settled.keys()

    def replace(self, snapshot: Snapshot) -> None:
        """A snapshot is everything: what it does not mention is gone."""
        self.offers = {offer.offer_id: offer for offer in snapshot.offers if offer.offer_id not in self._settled}
        self.routes = {route.route_id: route for route in snapshot.routes if route.status == "active"}
        self.presence = snapshot.presence
        self._delivery_versions.clear()
        for item in snapshot.inbox:
            self.inbox_seq = max(self.inbox_seq, item.inbox_seq)

    def apply(self, fact: FactMessage) -> None:
        match fact:
            case OfferOpen() | OfferUpdate():
                known = self.offers.get(fact.offer_id)
                if fact.offer_id in self._settled:
                    pass
                elif known is None or known.offer_version <= fact.offer_version:
                    self.offers[fact.offer_id] = fact
            case OfferGone() | OfferDecided():
                self._settle(fact.offer_id)
            case RouteUpdate():
                if fact.offer_id is not None:
                    self._settle(fact.offer_id)
                self._apply_route(fact)
            case DeliveryUpdate():
                self._apply_delivery(fact)
            case Notice() | EnrolmentUpdate() | Skip():
                pass

    def answered(self, command: Command, result: Result) -> None:
        """The answer to this driver's own accept or decline settles the offer before any fact does."""
        match command:
            case OfferAccept() if result.code in OFFER_SETTLED_CODES:
                self._settle(command.offer_id)
            case OfferDecline() if result.ok:
                self._settle(command.offer_id)
            case _:
                pass

    def _settle(self, offer_id: UUID) -> None:
        self.offers.pop(offer_id, None)
        self._settled[offer_id] = None
        if len(self._settled) > SETTLED_OFFERS_MAX:
            del self._settled[next(iter(self._settled))]

    def _apply_route(self, fact: RouteUpdate) -> None:
        known = self.routes.get(fact.route_id)
        if known is not None and known.version > fact.version:
            return
        if fact.status == "active":
            self.routes[fact.route_id] = fact
        else:
            self.routes.pop(fact.route_id, None)

    def _apply_delivery(self, fact: DeliveryUpdate) -> None:
        if self._delivery_versions.get(fact.delivery_id, 0) > fact.version:
            return
        for route_id, route in self.routes.items():
            stops = tuple(
                replace(
                    stop,
                    deliveries=tuple(
                        replace(delivery, status=fact.status) if delivery.delivery_id == fact.delivery_id else delivery
                        for delivery in stop.deliveries
                    ),
                )
                for stop in route.stops
            )
            if stops != route.stops:
                self.routes[route_id] = replace(route, stops=stops)
                self._delivery_versions[fact.delivery_id] = fact.version
