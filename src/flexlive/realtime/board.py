"""Open offers by cell, and who is shown which. The rules of the protocol's board, kept in RAM.

A seat is shown an offer when its last cell is one of the offer's cells, its driver is online, enrolled for the
offer's type, in the cohort of every pilot over it, and has not declined it. Driving away removes nothing; moving in
adds; an offer's end goes to everyone it was shown to, except its winner.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from prometheus_client import Gauge

from flexlive.domain import cells
from flexlive.protocol.codec import fact_template
from flexlive.protocol.wire_types import GoneReason
from flexlive.realtime.facts import OfferDeclined, OfferEnded, OfferShown
from flexlive.realtime.hub import Hub, HubFact, Subscriber

OFFER_RESOLUTION_DEFAULT: Final = 7

_OPEN = Gauge("flexlive_board_offers", "Open offers on a process's board", ["market_id"], multiprocess_mode="livemax")


class Seat:
    """One session's place at the board. Only the board changes it."""

    __slots__ = ("cell", "driver_id", "market_id", "offer_types", "online", "pilots", "shown", "subscriber")

    def __init__(
        self,
        market_id: str,
        driver_id: UUID,
        offer_types: frozenset[str],
        subscriber: Subscriber,
        online: bool,
        pilots: frozenset[UUID],
    ) -> None:
        self.market_id = market_id
        self.driver_id = driver_id
        self.offer_types = offer_types
        self.pilots = pilots
        self.subscriber = subscriber
        self.online = online
        self.cell: int | None = None
        # Ordered, here and below: the same events give the same deliveries in the same order.
        self.shown: dict[_Offer, None] = {}


class _Offer:
    __slots__ = ("declined", "open_fact", "seats", "shown")

    def __init__(self, shown: OfferShown) -> None:
        self.shown = shown
        self.open_fact = _open_fact(shown)
        self.seats: dict[Seat, None] = {}
        self.declined: set[UUID] = set(shown.excluded)

    def is_for(self, seat: Seat) -> bool:
        return seat.online and self.entitles(seat)

    def entitles(self, seat: Seat) -> bool:
        return (
            self.shown.offer_type in seat.offer_types
            and self.shown.pilots <= seat.pilots
            and seat.driver_id not in self.declined
        )


class _Market:
    __slots__ = ("offers", "offers_by_cell", "resolution", "seats_by_cell")

    def __init__(self) -> None:
        self.resolution = OFFER_RESOLUTION_DEFAULT
        self.offers: dict[UUID, _Offer] = {}
        self.offers_by_cell: dict[int, dict[_Offer, None]] = {}
        self.seats_by_cell: dict[int, dict[Seat, None]] = {}


class Board:
    """One per process, touched from its event loop only. Deliveries leave through the hub."""

    __slots__ = ("_hub", "_markets")

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._markets: dict[str, _Market] = {}

    def configure(self, market_id: str, *, offer_resolution: int) -> None:
        """The H3 resolution at which this market's offers are addressed (default 7). Call before drivers connect."""
        self._market(market_id).resolution = offer_resolution

    def show(self, market_id: str, shown: OfferShown) -> None:
        """An offer opened, or now stands in more cells under a higher version. Older versions are ignored."""
        market = self._market(market_id)
        offer = market.offers.get(shown.offer_id)
        if offer is None:
            offer = market.offers[shown.offer_id] = _Offer(shown)
            _OPEN.labels(market_id).set(len(market.offers))
        elif shown.offer_version <= offer.shown.offer_version:
            return
        else:
            self._update(market, offer, shown)
        for cell in shown.cells:
            market.offers_by_cell.setdefault(cell, {})[offer] = None
        # A seat has one cell: none comes twice.
        seats = (seat for cell in sorted(shown.cells) for seat in market.seats_by_cell.get(cell, ()))
        self._add(offer, [seat for seat in seats if seat not in offer.seats and offer.is_for(seat)])

    def end(self, market_id: str, ended: OfferEnded) -> None:
        """An offer is no longer to be had. Unknown offers are ignored."""
        market = self._market(market_id)
        offer = market.offers.pop(ended.offer_id, None)
        if offer is None:
            return
        _OPEN.labels(market_id).set(len(market.offers))
        self._unlist(market, offer)
        for seat in offer.seats:
            seat.shown.pop(offer, None)
        fact = _gone_fact(ended.offer_id, ended.reason, ended.occurred_at)
        self._hub.send([seat.subscriber for seat in offer.seats if seat.driver_id != ended.winner], fact)

    def decline(self, market_id: str, declined: OfferDeclined) -> None:
        """The driver is not shown the offer again."""
        offer = self._market(market_id).offers.get(declined.offer_id)
        if offer is not None:
            offer.declined.add(declined.driver_id)

    def sit(
        self,
        market_id: str,
        driver_id: UUID,
        offer_types: frozenset[str],
        subscriber: Subscriber,
        *,
        online: bool,
        pilots: frozenset[UUID] = frozenset(),
    ) -> Seat:
        """A seat without a cell yet: nothing is shown until `place` or `move`."""
        return Seat(market_id, driver_id, offer_types, subscriber, online, pilots)

    def entitle(self, seat: Seat, offer_types: frozenset[str], pilots: frozenset[UUID], now: datetime) -> None:
        """What the driver may be shown has changed: cards that are no longer for this driver go, others come."""
        seat.offer_types, seat.pilots = offer_types, pilots
        for offer in [offer for offer in seat.shown if not offer.entitles(seat)]:
            offer.seats.pop(seat, None)
            seat.shown.pop(offer, None)
            # An app that was told so once does not take the card back.
            offer.declined.add(seat.driver_id)
            self._hub.send([seat.subscriber], _gone_fact(offer.shown.offer_id, "withdrawn", now))
        self._show_cell(self._market(seat.market_id), seat, now)

    def move(self, seat: Seat, lat: float, lon: float, now: datetime) -> None:
        """The driver is at this point: offers of a cell just entered are shown. Constant time within a cell."""
        market = self._market(seat.market_id)
        if self._enter_cell(market, seat, cells.cell_of(lat, lon, market.resolution)):
            self._show_cell(market, seat, now)

    def place(self, seat: Seat, point: tuple[float, float] | None, *, online: bool) -> None:
        """Where a session starts, before its snapshot is rendered: nothing is delivered. point: (lat, lon)."""
        seat.online = online
        if point is not None:
            market = self._market(seat.market_id)
            self._enter_cell(market, seat, cells.cell_of(point[0], point[1], market.resolution))

    def set_online(self, seat: Seat, online: bool, now: datetime) -> None:
        """Going online shows what is open in the seat's cell; going offline stops additions."""
        if seat.online != online:
            seat.online = online
            self._show_cell(self._market(seat.market_id), seat, now)

    def render(self, seat: Seat, now: datetime) -> list[bytes]:
        """Bodies of every live offer this seat is entitled to see, marked as shown: `snapshot.offers`."""
        market = self._market(seat.market_id)
        candidates = dict(seat.shown)
        if seat.cell is not None:
            candidates.update(market.offers_by_cell.get(seat.cell, {}))
        visible = [offer for offer in candidates if offer.is_for(seat) and offer.shown.valid_until > now]
        # What a snapshot leaves out is not on the phone any more: to be shown again, it must be sent again.
        for offer in seat.shown:
            offer.seats.pop(seat, None)
        seat.shown = dict.fromkeys(visible)
        for offer in visible:
            offer.seats[seat] = None
        visible.sort(key=lambda offer: (offer.shown.opened_at, offer.shown.offer_id))
        return [offer.shown.body for offer in visible]

    def leave(self, seat: Seat) -> None:
        """The session has ended. Idempotent."""
        self._leave_cell(self._market(seat.market_id), seat)
        seat.cell = None
        for offer in seat.shown:
            offer.seats.pop(seat, None)
        seat.shown.clear()

    def is_open(self, market_id: str, offer_id: UUID) -> bool:
        market = self._markets.get(market_id)
        return market is not None and offer_id in market.offers

    def shows(self, seat: Seat, offer_id: UUID) -> bool:
        """Whether this seat has been shown the offer and may still have it."""
        market = self._markets.get(seat.market_id)
        offer = market.offers.get(offer_id) if market is not None else None
        return offer is not None and seat in offer.seats and offer.entitles(seat)

    def open_count(self, market_id: str) -> int:
        market = self._markets.get(market_id)
        return len(market.offers) if market is not None else 0

    def _update(self, market: _Market, offer: _Offer, shown: OfferShown) -> None:
        self._unlist(market, offer)
        offer.shown = shown
        offer.open_fact = _open_fact(shown)
        offer.declined |= shown.excluded
        fact = HubFact(
            "offer.update", 0, shown.opened_at, shown.body, fact_template("offer.update", shown.body), shown.offer_id
        )
        self._hub.send([seat.subscriber for seat in offer.seats if seat.driver_id not in offer.declined], fact)

    def _add(self, offer: _Offer, seats: Iterable[Seat]) -> None:
        added = list(seats)
        for seat in added:
            offer.seats[seat] = None
            seat.shown[offer] = None
        self._hub.send([seat.subscriber for seat in added], offer.open_fact)

    def _show_cell(self, market: _Market, seat: Seat, now: datetime) -> None:
        if not seat.online or seat.cell is None:
            return
        for offer in market.offers_by_cell.get(seat.cell, ()):
            if seat not in offer.seats and offer.is_for(seat) and offer.shown.valid_until > now:
                self._add(offer, (seat,))

    def _unlist(self, market: _Market, offer: _Offer) -> None:
        for cell in offer.shown.cells:
            offers = market.offers_by_cell[cell]
            offers.pop(offer, None)
            if not offers:
                del market.offers_by_cell[cell]

    def _enter_cell(self, market: _Market, seat: Seat, cell: int) -> bool:
        if cell == seat.cell:
            return False
        self._leave_cell(market, seat)
        seat.cell = cell
        market.seats_by_cell.setdefault(cell, {})[seat] = None
        return True

    def _leave_cell(self, market: _Market, seat: Seat) -> None:
        if seat.cell is None:
            return
        seats = market.seats_by_cell[seat.cell]
        seats.pop(seat, None)
        if not seats:
            del market.seats_by_cell[seat.cell]

    def _market(self, market_id: str) -> _Market:
        market = self._markets.get(market_id)
        if market is None:
            market = self._markets[market_id] = _Market()
        return market


def _gone_fact(offer_id: UUID, reason: GoneReason, at: datetime) -> HubFact:
    body = msgspec.json.encode({"offer_id": offer_id, "reason": reason})
    return HubFact("offer.gone", 0, at, body, fact_template("offer.gone", body))


def _open_fact(shown: OfferShown) -> HubFact:
    template = fact_template("offer.open", shown.body)
    return HubFact("offer.open", 0, shown.opened_at, shown.body, template, shown.offer_id)
