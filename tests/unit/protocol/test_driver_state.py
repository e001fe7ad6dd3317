"""What a phone shows: a card that is over stays away, whatever arrives late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from flexlive.protocol import driver as wire
from flexlive.protocol.driver_state import SETTLED_OFFERS_MAX, DriverState
from flexlive.protocol.server_frames import OfferOpen, OfferUpdate
from flexlive.protocol.views import Entrance, EstimateView, OfferView, PayView, RouteView, SiteView

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OFFER = UUID(int=1)


def offer(offer_id: UUID = OFFER, version: int = 1) -> OfferView:
    return OfferView(
        offer_id=offer_id,
        offer_version=version,
        offer_type="retail_delivery",
        shape="on_demand",
        site=SiteView(id=UUID(int=2), kind="mall", name="Mall", entrance=Entrance(name="Door", lat=0, lon=0)),
        stores=(),
        delivery_count=1,
        package_count=1,
        pay=PayView(base_cents=700, tip_cents=0, wait_rate_cents_per_minute=25, currency="USD"),
        estimate=EstimateView(drive_seconds=1, walk_seconds=1, wait_seconds=0, distance_m=1),
        dropoff_cells=(),
        rule="first",
        opened_at=NOW,
        valid_until=NOW + timedelta(minutes=2),
    )


def fact(kind: type, view: OfferView, seq: int = 1) -> OfferOpen | OfferUpdate:
    return kind(seq=seq, **msgspec.structs.asdict(view))


def shown() -> DriverState:
    state = DriverState()
    state.apply(fact(OfferOpen, offer()))
    assert set(state.offers) == {OFFER}
    return state


@pytest.mark.parametrize("code", ["won", "taken", "expired", "withdrawn"])
def test_a_late_update_does_not_bring_a_settled_card_back(code: str) -> None:
    state = shown()
    state.answered(
        wire.OfferAccept(cmd="a", offer_id=OFFER, offer_version=1), wire.Result(cmd="a", ok=code == "won", code=code)
    )
    state.apply(fact(OfferUpdate, offer(version=2), seq=2))
    assert state.offers == {}


def test_nor_after_a_decline_nor_in_a_snapshot_read_before() -> None:
    state = shown()
    state.answered(wire.OfferDecline(cmd="d", offer_id=OFFER), wire.Result(cmd="d", ok=True, code="ok"))
    state.apply(fact(OfferUpdate, offer(version=2), seq=2))
    state.replace(wire.Snapshot(seq=2, presence="online", routes=(), offers=(offer(version=2),), inbox=()))
    assert state.offers == {}


def test_the_route_of_an_offer_ends_its_card() -> None:
    """For a win whose answer was lost: the route says it."""
    state = shown()
    route = RouteView(route_id=UUID(int=3), version=1, status="active", offer_id=OFFER, stops=())
    state.apply(wire.RouteUpdate(seq=2, **msgspec.structs.asdict(route)))
    state.apply(fact(OfferUpdate, offer(version=2), seq=3))
    assert state.offers == {}
    assert set(state.routes) == {route.route_id}


def test_a_refusal_for_the_drivers_own_reasons_leaves_the_card() -> None:
    state = shown()
    state.answered(
        wire.OfferAccept(cmd="a", offer_id=OFFER, offer_version=1), wire.Result(cmd="a", ok=False, code="not_eligible")
    )
    assert set(state.offers) == {OFFER}


def test_what_is_remembered_is_bounded() -> None:
    state = DriverState()
    for number in range(SETTLED_OFFERS_MAX + 50):
        state.apply(wire.OfferGone(seq=number + 1, offer_id=UUID(int=number), reason="taken"))
    assert len(state._settled) == SETTLED_OFFERS_MAX
