"""What a committed event means to those who are connected. Pure: an event row in, a message out.

| event | means |
|---|---|
| offer.opened, offer.widened | the offer stands on the board in these cells |
| offer.accepted, offer.expired, offer.withdrawn | it leaves the board: taken, expired, withdrawn |
| driver.declined | this driver is not shown that offer again |
| route.* | `route.update` for its driver, where it carries the route |
| delivery.* | `delivery.update` for its driver, while it has one, where it carries what changed |
| track.* | a fact of the customer's own stream |
| driver.notice | `notice` for the driver |
| driver.enrolment | what the driver may be shown from now on; `enrolment.update` where it carries one |
| driver.presence, driver.family_revoked, driver.suspended | the driver's sessions here |
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal, TypeAlias
from uuid import UUID

import msgspec
from msgspec import Raw, Struct

from flexlive.domain import cells
from flexlive.protocol.codec import fact_template
from flexlive.protocol.wire_types import GoneReason
from flexlive.realtime.chain import FactRow
from flexlive.realtime.hub import HubFact


class OfferShown(Struct, frozen=True, gc=False):
    """body: the JSON object of offer.open without type and seq. cells: at the market's offer resolution.
    excluded: drivers who are never shown it, since they refused this work before. pilots: only who is in the cohort
    of each is shown it."""

    offer_id: UUID
    offer_version: int
    offer_type: str
    opened_at: datetime
    valid_until: datetime
    cells: frozenset[int]
    body: bytes
    excluded: frozenset[UUID] = frozenset()
    pilots: frozenset[UUID] = frozenset()


class OfferEnded(Struct, frozen=True, gc=False):
    """winner: the driver who has it now and learns so by `result` and `route.update` instead."""

    offer_id: UUID
    reason: GoneReason
    occurred_at: datetime
    winner: UUID | None = None


class OfferDeclined(Struct, frozen=True, gc=False):
    offer_id: UUID
    driver_id: UUID


class DriverFact(Struct, frozen=True, gc=False):
    driver_id: UUID
    fact: HubFact


class TrackFact(Struct, frozen=True, gc=False):
    delivery_id: UUID
    fact: HubFact


class PresenceChanged(Struct, frozen=True, gc=False):
    driver_id: UUID
    online: bool


class FamilyRevoked(Struct, frozen=True, gc=False):
    """A token family ended (log-out, theft): its sockets close."""

    driver_id: UUID
    family_id: UUID


class DriverSuspended(Struct, frozen=True, gc=False):
    """Operators took the driver off the road: the session ends and its socket closes."""

    driver_id: UUID


class EntitlementChanged(Struct, frozen=True, gc=False):
    """What the driver may be shown from now on, as a whole. pilots: those in whose cohort the driver is."""

    driver_id: UUID
    offer_types: frozenset[str]
    pilots: frozenset[UUID]
    fact: HubFact | None = None


class Irrelevant(Struct, frozen=True, gc=False):
    """Nobody connected needs to know."""


Meaning: TypeAlias = (
    OfferShown | OfferEnded | OfferDeclined | DriverFact | TrackFact | PresenceChanged | FamilyRevoked | DriverSuspended
    | EntitlementChanged | Irrelevant
)  # fmt: skip


_NOTHING: Final = Raw()


class _OfferOnBoard(Struct, frozen=True, gc=False):
    offer: Raw
    cells: tuple[str, ...]
    excluded: frozenset[UUID] = frozenset()
    pilots: frozenset[UUID] = frozenset()


class _OfferKeys(Struct, frozen=True, gc=False):
    offer_id: UUID
    offer_version: int
    offer_type: str
    opened_at: datetime
    valid_until: datetime


class _OfferDriver(Struct, frozen=True, gc=False):
    offer_id: UUID
    driver_id: UUID | None = None


class _RouteChange(Struct, frozen=True, gc=False):
    driver_id: UUID | None = None
    route: Raw = _NOTHING


class _DeliveryChange(Struct, frozen=True, gc=False):
    update: Raw = _NOTHING
    driver_id: UUID | None = None


class _Entitlement(Struct, frozen=True, gc=False):
    offer_types: frozenset[str]
    pilots: frozenset[UUID]
    enrolment: Raw = _NOTHING


class _Notice(Struct, frozen=True, gc=False):
    notice: Raw


class _PresenceMode(Struct, frozen=True, gc=False):
    mode: Literal["online", "offline"]


class _Family(Struct, frozen=True, gc=False):
    family_id: UUID


_IRRELEVANT: Final = Irrelevant()
_GONE: Final[dict[str, GoneReason]] = {
    "offer.accepted": "taken",
    "offer.expired": "expired",
    "offer.withdrawn": "withdrawn",
}


def meaning_of(row: FactRow) -> Meaning:
    """msgspec.ValidationError or ValueError when the row's data is not what its kind promises."""
    entity, _, entity_id = row.stream.partition(":")
    match entity:
        case "offer":
            return _offer(row)
        case "route":
            change = msgspec.json.decode(row.data, type=_RouteChange)
            if change.driver_id is None or not bytes(change.route):
                return _IRRELEVANT
            return DriverFact(change.driver_id, _driver_fact(row, "route.update", bytes(change.route)))
        case "delivery":
            delivery = msgspec.json.decode(row.data, type=_DeliveryChange)
            if delivery.driver_id is None or not bytes(delivery.update):
                return _IRRELEVANT
            return DriverFact(delivery.driver_id, _driver_fact(row, "delivery.update", bytes(delivery.update)))
        case "track":
            return TrackFact(UUID(entity_id), HubFact(row.kind, row.seq, row.occurred_at, bytes(row.data)))
        case "driver":
            return _driver(row, UUID(entity_id))
        case _:
            return _IRRELEVANT


def offer_on_board(data: Raw | bytes) -> OfferShown:
    """The data of `offer.opened` or `offer.widened`, as events and services.offers.open_offers carry it."""
    shown = msgspec.json.decode(data, type=_OfferOnBoard)
    body = bytes(shown.offer)
    keys = msgspec.json.decode(body, type=_OfferKeys)
    where: set[int] = set()
    for text in shown.cells:
        cell = cells.from_wire(text)
        if cell is None:
            raise ValueError(f"offer {keys.offer_id} names a cell that is none")
        where.add(cell)
    return OfferShown(
        offer_id=keys.offer_id,
        offer_version=keys.offer_version,
        offer_type=keys.offer_type,
        opened_at=keys.opened_at,
        valid_until=keys.valid_until,
        cells=frozenset(where),
        body=body,
        excluded=shown.excluded,
        pilots=shown.pilots,
    )


def _offer(row: FactRow) -> Meaning:
    if row.kind in {"offer.opened", "offer.widened"}:
        return offer_on_board(row.data)
    reason = _GONE.get(row.kind)
    if reason is None:
        return _IRRELEVANT
    ended = msgspec.json.decode(row.data, type=_OfferDriver)
    return OfferEnded(ended.offer_id, reason, row.occurred_at, ended.driver_id)


def _driver(row: FactRow, driver_id: UUID) -> Meaning:
    match row.kind:
        case "driver.presence":
            mode = msgspec.json.decode(row.data, type=_PresenceMode).mode
            return PresenceChanged(driver_id, mode == "online")
        case "driver.declined":
            return OfferDeclined(msgspec.json.decode(row.data, type=_OfferDriver).offer_id, driver_id)
        case "driver.notice":
            notice = msgspec.json.decode(row.data, type=_Notice).notice
            return DriverFact(driver_id, _driver_fact(row, "notice", bytes(notice)))
        case "driver.enrolment":
            entitled = msgspec.json.decode(row.data, type=_Entitlement)
            body = bytes(entitled.enrolment)
            fact = _driver_fact(row, "enrolment.update", body) if body else None
            return EntitlementChanged(driver_id, entitled.offer_types, entitled.pilots, fact)
        case "driver.suspended":
            return DriverSuspended(driver_id)
        case "driver.family_revoked":
            return FamilyRevoked(driver_id, msgspec.json.decode(row.data, type=_Family).family_id)
        case _:
            return _IRRELEVANT


def _driver_fact(row: FactRow, frame_type: str, body: bytes) -> HubFact:
    return HubFact(frame_type, row.seq, row.occurred_at, body, fact_template(frame_type, body))
