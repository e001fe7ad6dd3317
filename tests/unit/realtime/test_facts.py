from uuid import UUID

import msgspec
import pytest

from flexlive.protocol import driver as wire
from flexlive.protocol.codec import decode_server, splice_seq
from flexlive.realtime.chain import FactRow
from flexlive.realtime.facts import (
    DriverFact,
    FamilyRevoked,
    Irrelevant,
    OfferDeclined,
    OfferEnded,
    OfferShown,
    PresenceChanged,
    TrackFact,
    meaning_of,
)

from .board_world import CELLS, MARKET, NOW, offer_data, offer_id

DRIVER, DELIVERY, ROUTE = UUID(int=7), UUID(int=8), UUID(int=9)


def row(stream: str, kind: str, data: object, seq: int = 3) -> FactRow:
    raw = msgspec.Raw(data if isinstance(data, bytes) else msgspec.json.encode(data))
    return FactRow(MARKET, 5, 6, stream, seq, kind, NOW, raw)


@pytest.mark.parametrize("kind", ["offer.opened", "offer.widened"])
def test_an_open_offer_stands_on_the_board(kind: str):
    data = offer_data(1, version=2, where=CELLS[:2], excluded=(DRIVER,))
    meaning = meaning_of(row(f"offer:{offer_id(1)}", kind, data))
    assert isinstance(meaning, OfferShown)
    assert (meaning.offer_id, meaning.offer_version, meaning.cells) == (offer_id(1), 2, frozenset(CELLS[:2]))
    assert meaning.excluded == {DRIVER}
    assert msgspec.json.decode(meaning.body, type=wire.OfferView).offer_type == "retail_delivery"
    assert b"excluded" not in meaning.body
    assert b"cells_added" not in meaning.body


@pytest.mark.parametrize(
    ("kind", "reason"), [("offer.accepted", "taken"), ("offer.expired", "expired"), ("offer.withdrawn", "withdrawn")]
)
def test_how_an_offer_ends(kind: str, reason: str):
    meaning = meaning_of(row(f"offer:{offer_id(1)}", kind, {"offer_id": offer_id(1), "driver_id": DRIVER}))
    assert meaning == OfferEnded(offer_id(1), reason, NOW, DRIVER)  # pyright: ignore[reportArgumentType]


def test_a_decline_concerns_one_driver():
    data = {"offer_id": offer_id(1), "driver_id": DRIVER}
    assert meaning_of(row(f"driver:{DRIVER}", "driver.declined", data)) == OfferDeclined(offer_id(1), DRIVER)


def test_a_route_change_is_a_route_update_for_its_driver_alone():
    route = {"route_id": ROUTE, "version": 2, "status": "active", "offer_id": None, "stops": []}
    meaning = meaning_of(row(f"route:{ROUTE}", "route.advanced", {"driver_id": DRIVER, "route": route}))
    assert isinstance(meaning, DriverFact)
    assert meaning.driver_id == DRIVER
    assert meaning.fact.template is not None
    frame = decode_server(splice_seq(meaning.fact.template, 42))
    assert frame == wire.RouteUpdate(seq=42, route_id=ROUTE, version=2, status="active", stops=())


def test_a_delivery_change_reaches_its_driver_while_it_has_one():
    update = {"delivery_id": DELIVERY, "status": "picked_up", "readiness": "ready", "version": 4}
    meaning = meaning_of(row("delivery:x", "delivery.picked_up", {"driver_id": DRIVER, "update": update, "pin": "1"}))
    assert isinstance(meaning, DriverFact)
    assert meaning.fact.template is not None
    assert decode_server(splice_seq(meaning.fact.template, 1)) == wire.DeliveryUpdate(
        seq=1, delivery_id=DELIVERY, status="picked_up", readiness="ready", version=4
    )
    assert b"pin" not in meaning.fact.template.tail
    nobody = meaning_of(row("delivery:x", "delivery.created", {"driver_id": None, "update": update}))
    assert nobody == Irrelevant()


def test_a_track_fact_is_handed_on_with_its_own_seq():
    meaning = meaning_of(row(f"track:{DELIVERY}", "track.delivered", {"status": "delivered"}, seq=12))
    assert isinstance(meaning, TrackFact)
    assert meaning.delivery_id == DELIVERY
    assert (meaning.fact.stream_seq, meaning.fact.kind) == (12, "track.delivered")
    assert meaning.fact.body == b'{"status":"delivered"}'


def test_what_concerns_a_driver():
    stream = f"driver:{DRIVER}"
    assert meaning_of(row(stream, "driver.presence", {"mode": "online", "filters": None})) == PresenceChanged(
        DRIVER, True
    )
    revoked = meaning_of(row(stream, "driver.family_revoked", {"family_id": str(ROUTE)}))
    assert revoked == FamilyRevoked(DRIVER, ROUTE)
    assert meaning_of(row(stream, "driver.mood", {})) == Irrelevant()


@pytest.mark.parametrize("kind", ["offer.completed", "offer.forfeited", "offer.mood"])
def test_what_nobody_connected_needs(kind: str):
    assert meaning_of(row("offer:x", kind, {"offer_id": offer_id(1)})) == Irrelevant()
    assert meaning_of(row("weather:x", "weather.rain", {})) == Irrelevant()


@pytest.mark.parametrize("data", [{}, {"offer": {}, "cells": ["87x"]}, b"[]"])
def test_data_that_breaks_its_promise_is_an_error(data: object):
    with pytest.raises((msgspec.MsgspecError, ValueError)):
        meaning_of(row("offer:x", "offer.opened", data))
    with pytest.raises(ValueError):
        meaning_of(row("offer:x", "offer.opened", offer_data(1).replace(b'"cells":["8', b'"cells":["zz')))
