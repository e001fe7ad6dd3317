"""The database of the simulation: what is committed, and the log of facts that tells it. Decisions happen here, whole
or not at all; everything else is a copy."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from flexlive.domain import cells
from flexlive.protocol import driver as wire
from flexlive.protocol.views import EnrolmentView, InboxItem, NoticeView, PositionView, RouteView
from flexlive.realtime.chain import FactRow
from flexlive.realtime.facts import OfferShown
from flexlive.services.answers import OK, Answer, request_sha256, result_body
from flexlive.services.drivers import DriverSnapshot
from tests.simulation.sessions.scheduler import Scheduler

MARKET = "sim"
START = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
RESOLUTION = 7
PLACES = ((39.70, -89.60), (39.80, -89.60), (39.70, -89.40))
"""One in each of three cells."""
CELLS = tuple(cells.cell_of(lat, lon, RESOLUTION) for lat, lon in PLACES)
TYPES = ("retail_delivery", "grocery")
OFFER_SECONDS = 60.0
INBOX_SECONDS = timedelta(days=1)


def uid(kind: int, number: int) -> UUID:
    return UUID(int=kind << 64 | number)


@dataclass(slots=True)
class Offer:
    offer_id: UUID
    version: int
    offer_type: str
    cells: frozenset[int]
    opened_at: datetime
    valid_until: datetime
    body: bytes = b""
    status: str = "open"
    declined: set[UUID] = field(default_factory=set)


@dataclass(slots=True)
class Driver:
    driver_id: UUID
    online: bool = False
    offer_types: frozenset[str] = frozenset(TYPES)
    position: PositionView | None = None
    inbox: list[InboxItem] = field(default_factory=list)
    routes: dict[UUID, RouteView] = field(default_factory=dict)
    withdrawn: set[UUID] = field(default_factory=set)
    """Offers this driver was once not entitled to: whoever was told so is not shown them again."""


class Truth:
    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.drivers = {uid(1, n): Driver(uid(1, n)) for n in range(2)}
        self.offers: dict[UUID, Offer] = {}
        self.log: list[FactRow] = []
        self.results: dict[tuple[UUID, str, str], tuple[bytes, bytes]] = {}
        self.decided: Counter[tuple[UUID, str, str]] = Counter()
        self.notices: dict[UUID, UUID] = {}
        self.route_owner: dict[UUID, UUID] = {}
        self.winners: dict[UUID, UUID] = {}
        self._seqs: Counter[str] = Counter()
        self._next = 0

    def now(self) -> datetime:
        return START + timedelta(seconds=self._scheduler.monotonic_seconds)

    # What operators, shops and the dispatcher do

    def open_offer(self, where: int, type_: int) -> None:
        self._next += 1
        now = self.now()
        offer = Offer(uid(2, self._next), 1, TYPES[type_], frozenset((CELLS[where],)), now,
                      now + timedelta(seconds=OFFER_SECONDS))  # fmt: skip
        self.offers[offer.offer_id] = offer
        self._tell_offer("offer.opened", offer)

    def widen(self, offer: Offer, where: int) -> None:
        if offer.status == "open":
            offer.version += 1
            offer.cells |= {CELLS[where]}
            self._tell_offer("offer.widened", offer)

    def withdraw(self, offer: Offer) -> None:
        self._end(offer, "withdrawn")

    def sweep(self) -> None:
        for offer in self.offers.values():
            if offer.valid_until <= self.now():
                self._end(offer, "expired")

    def entitle(self, driver: Driver, offer_types: frozenset[str]) -> None:
        if driver.offer_types != offer_types:
            driver.offer_types = offer_types
            driver.withdrawn |= {o.offer_id for o in self.offers.values() if o.offer_type not in offer_types}
            view = EnrolmentView(offer_type=TYPES[0], status="active", terms_version_now=1)
            data = {"offer_types": sorted(offer_types), "pilots": [], "enrolment": view}
            self._tell("driver", driver.driver_id, "driver.enrolment", data)

    def notify(self, driver: Driver) -> None:
        self._next += 1
        notice = NoticeView(notice_id=uid(3, self._next), title="t", body="b", expires_at=self.now() + INBOX_SECONDS)
        self.notices[notice.notice_id] = driver.driver_id
        body: dict[str, Any] = msgspec.to_builtins(notice)
        driver.inbox.append(InboxItem(inbox_seq=len(driver.inbox) + 1, kind="notice", body=body, created_at=self.now()))
        self._tell("driver", driver.driver_id, "driver.notice", {"notice": notice})

    def change_route(self, driver: Driver, *, end: bool) -> None:
        for route in list(driver.routes.values())[:1]:
            status = "completed" if end else "active"
            self._set_route(driver, msgspec.structs.replace(route, version=route.version + 1, status=status))

    # What phones ask for

    def execute(self, driver_id: UUID, device_id: str, command: wire.Command) -> bytes:
        key, sha = (driver_id, device_id, command.cmd), request_sha256(command)
        stored = self.results.get(key)
        if stored is not None:
            return stored[1] if stored[0] == sha else result_body(command.cmd, Answer("conflict"))
        self.decided[key] += 1
        body = result_body(command.cmd, self._decide(self.drivers[driver_id], command))
        self.results[key] = (sha, body)
        return body

    def stored_results(self, driver_id: UUID, device_id: str, cmds: tuple[str, ...]) -> dict[str, bytes]:
        keys = {cmd: (driver_id, device_id, cmd) for cmd in cmds}
        return {cmd: self.results[key][1] for cmd, key in keys.items() if key in self.results}

    def snapshot(self, driver_id: UUID, inbox_seq: int) -> DriverSnapshot:
        driver = self.drivers[driver_id]
        return DriverSnapshot(
            active=True,
            presence="online" if driver.online else "offline",
            position=driver.position,
            routes=tuple(driver.routes.values()),
            inbox=tuple(driver.inbox[inbox_seq:]),
            offer_types=driver.offer_types,
            pilots=frozenset(),
            read_at=self._scheduler.monotonic_seconds,
        )

    def shown(self) -> list[OfferShown]:
        """What a process that starts finds open."""
        return [
            OfferShown(o.offer_id, o.version, o.offer_type, o.opened_at, o.valid_until, o.cells, o.body,
                       frozenset(o.declined))
            for o in self.offers.values() if o.status == "open"
        ]  # fmt: skip

    def _decide(self, driver: Driver, command: wire.Command) -> Answer:
        match command:
            case wire.PresenceSet(mode=mode):
                if driver.online != (mode == "online"):
                    driver.online = mode == "online"
                    self._tell("driver", driver.driver_id, "driver.presence", {"mode": mode})
                return OK
            case wire.OfferDecline(offer_id=offer_id):
                offer = self.offers.get(offer_id)
                if offer is None:
                    return Answer("not_found")
                offer.declined.add(driver.driver_id)
                self._tell("driver", driver.driver_id, "driver.declined",
                           {"offer_id": offer_id, "driver_id": driver.driver_id})  # fmt: skip
                return OK
            case wire.OfferAccept(offer_id=offer_id):
                return self._accept(driver, self.offers.get(offer_id))
            case _:
                raise AssertionError(command)

    def _accept(self, driver: Driver, offer: Offer | None) -> Answer:
        if offer is None:
            return Answer("not_found")
        if offer.status != "open":
            return Answer({"accepted": "taken"}.get(offer.status, offer.status))
        if offer.valid_until <= self.now():
            return Answer("expired")
        if not driver.online or offer.offer_type not in driver.offer_types or driver.driver_id in offer.declined:
            return Answer("not_eligible", {"reason": "offline"})
        self.winners[offer.offer_id] = driver.driver_id
        self._end(offer, "accepted", driver.driver_id)
        self._next += 1
        route = RouteView(route_id=uid(4, self._next), version=1, status="active", offer_id=offer.offer_id, stops=())
        self.route_owner[route.route_id] = driver.driver_id
        self._set_route(driver, route)
        return Answer("won")

    # The log

    def _set_route(self, driver: Driver, route: RouteView) -> None:
        driver.routes.pop(route.route_id, None)
        if route.status == "active":
            driver.routes[route.route_id] = route
        self._tell("route", route.route_id, "route.changed", {"driver_id": driver.driver_id, "route": route})

    def _end(self, offer: Offer, status: str, driver_id: UUID | None = None) -> None:
        if offer.status == "open":
            offer.status = status
            self._tell("offer", offer.offer_id, f"offer.{status}", {"offer_id": offer.offer_id, "driver_id": driver_id})

    def _tell_offer(self, kind: str, offer: Offer) -> None:
        offer.body = offer_body(offer)
        self._tell("offer", offer.offer_id, kind, {"offer": msgspec.Raw(offer.body), "cells": [
            cells.to_wire(cell) for cell in offer.cells], "excluded": list(offer.declined)})  # fmt: skip

    def _tell(self, entity: str, entity_id: UUID, kind: str, data: dict[str, Any]) -> None:
        stream, number = f"{entity}:{entity_id}", len(self.log) + 1
        self._seqs[stream] += 1
        raw = msgspec.Raw(msgspec.json.encode(data))
        self.log.append(FactRow(MARKET, number, number, stream, self._seqs[stream], kind, self.now(), raw))


_VIEW: dict[str, Any] = {
    "shape": "on_demand", "stores": [], "delivery_count": 1, "package_count": 1, "dropoff_cells": [], "rule": "first",
    "site": {"id": uid(9, 1), "kind": "mall", "name": "M", "entrance": {"name": "E", "lat": 39.7, "lon": -89.6}},
    "pay": {"base_cents": 1, "tip_cents": 0, "wait_rate_cents_per_minute": 0, "currency": "USD"},
    "estimate": {"drive_seconds": 1, "walk_seconds": 1, "wait_seconds": 1, "distance_m": 1},
}  # fmt: skip


def offer_body(offer: Offer) -> bytes:
    return msgspec.json.encode(
        {
            "offer_id": offer.offer_id,
            "offer_version": offer.version,
            "offer_type": offer.offer_type,
            "opened_at": offer.opened_at,
            "valid_until": offer.valid_until,
            **_VIEW,
        }
    )
