"""Clients against database: each way they can differ turns the verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest

from flexlive.domain.geography import Point
from flexlive.lab.book import Book, OrderStory
from flexlive.lab.cross_check import Committed, open_orders
from flexlive.lab.doors import Door
from flexlive.lab.fleet_messages import Finished, Tally
from flexlive.lab.scenario import OrderPlan
from flexlive.lab.summary import RunFacts, Samples, Summary, summarise
from flexlive.lab.track_history import TrackHistory
from flexlive.storage.audit import DeliveryStanding, Finding

OFFER_1, OFFER_2, ANA, BEN = (UUID(int=n) for n in range(1, 5))
RUN = RunFacts(scenario="s", drivers=2, seed=1, speed=60, wall_seconds=9.99, first_offer_seconds=3.0, page_reconnects=0)


def standing(name: str, status: str = "delivered", **changes: object) -> DeliveryStanding:
    made = DeliveryStanding(
        market_id="m",
        delivery_id=UUID(int=9),
        external_delivery_id=name,
        status=status,
        readiness="ready",
        reason_code=None,
        track_seq=5,
        driver_id=ANA,
        route_status="completed",
        offer_status=None,
        offer_valid_until=None,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def story(name: str, status: str = "delivered", seq: int = 5) -> OrderStory:
    plan = OrderPlan(
        at_seconds=0,
        external_delivery_id=name,
        external_store_id="1",
        service_level="express",
        prep_seconds=5,
        door=Door("1 A St, 89109 Las Vegas, NV", Point(36, -115)),
        contact_name="Ana",
    )
    page = TrackHistory(name)
    page.seq, page.status, page.facts, page.stated = seq, status, seq - 1, 1
    order = OrderStory(plan, intended_at=100.0, created=True, market_id="m", delivery_id=UUID(int=9), page=page)
    order.accepted_at, order.picked_up_at, order.delivered_at = 100.25, 106.0, 130.0
    return order


class Run:
    """A clean run of two orders, to be spoilt."""

    def __init__(self) -> None:
        self.book = Book(orders={name: story(name) for name in ("o1", "o2")})
        self.finished = Finished(
            wins={OFFER_1: (ANA,), OFFER_2: (BEN,)},
            delivered=("o1", "o2"),
            offers_seen=(OFFER_1, OFFER_2),
            violations=(),
            violation_count=0,
        )
        self.committed = Committed(
            standings=[standing("o1"), standing("o2")], wins={OFFER_1: ANA, OFFER_2: BEN}, findings=[]
        )
        self.tally = Tally(
            connected=2,
            online=2,
            busy=0,
            offers_seen=2,
            offers_shown=4,
            accepts_won=2,
            accepts_refused={"taken": 2},
            deliveries_delivered=2,
            facts=10,
            reconnects=0,
            errors=0,
            push_ms=(1.0, 3.0),
            accept_ms=(2.0,),
            late_ms=(0.1,),
        )

    def summary(self) -> Summary:
        samples = Samples()
        samples.add(self.tally)
        return summarise(RUN, self.book, samples, self.finished, self.committed)


def test_a_clean_run_is_ok_and_counted() -> None:
    summary = Run().summary()
    assert summary.ok
    assert summary.violations == ()
    assert (summary.orders_created, summary.offers_opened, summary.offers_accepted, summary.accepts_refused) == (
        2,
        2,
        2,
        2,
    )
    assert (summary.deliveries_delivered, summary.tracking_events, summary.tracking_holes) == (2, 10, 0)
    assert (summary.offer_push_ms.p50, summary.offer_push_ms.p99, summary.order_to_accept_ms.p50) == (1.0, 3.0, 250.0)
    assert summary.day.delivered_share == 1.0
    assert (summary.day.click_to_door_minutes.p50, summary.day.ready_to_pickup_minutes.p50) == (30.0, 1.0)


def finished(**changes: object) -> Callable[[Run], None]:
    def spoil(run: Run) -> None:
        from msgspec.structs import replace as changed

        run.finished = changed(run.finished, **changes)

    return spoil


def committed(**changes: object) -> Callable[[Run], None]:
    def spoil(run: Run) -> None:
        run.committed = replace(run.committed, **changes)  # type: ignore[arg-type]

    return spoil


def page(**changes: object) -> Callable[[Run], None]:
    def spoil(run: Run) -> None:
        history = run.book.orders["o1"].page
        assert history is not None
        for name, value in changes.items():
            setattr(history, name, value)

    return spoil


def no_page(run: Run) -> None:
    run.book.orders["o1"].page = None


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (finished(wins={OFFER_1: (ANA, BEN), OFFER_2: (BEN,)}), "was won by 2 drivers"),
        (committed(wins={OFFER_1: ANA}), f"phone of {BEN} says won, the database says None"),
        (committed(wins={OFFER_1: BEN, OFFER_2: BEN}), f"phone of {ANA} says won, the database says {BEN}"),
        (finished(wins={OFFER_1: (ANA,)}), "whose phone never said so"),
        (finished(delivered=("o1",)), "o2 is stored as delivered, but no phone did it"),
        (finished(delivered=("o1", "o2", "o2")), "o2 was delivered 2 times"),
        (
            committed(standings=[standing("o1"), standing("o2", "arrived_at_dropoff", route_status="active")]),
            "o2 was delivered by a phone, but not in the database",
        ),
        (committed(standings=[standing("o1")]), "order o2 was created, but is not stored"),
        (committed(findings=[Finding("streams_with_gaps", "m", "stream offer:1")]), "audit streams_with_gaps in m"),
        (page(seq=4), "1 tracking facts never reached their page"),
        (page(holes=2), "2 tracking facts never reached their page"),
        (page(status="picked_up"), "shows picked_up, stored is delivered"),
        (page(violations=["o1: fact seq 2 came again"]), "came again"),
        (no_page, "tracking page of o1 never opened"),
        (
            committed(standings=[standing("o1"), standing("o2", "confirmed", route_status="forfeited")]),
            "nobody will move it",
        ),
    ],
)
def test_every_difference_turns_the_verdict(spoil: Callable[[Run], None], said: str) -> None:
    run = Run()
    spoil(run)
    summary = run.summary()
    assert not summary.ok
    assert any(said in text for text in summary.violations), summary.violations


def test_a_phones_own_findings_and_errors_turn_the_verdict() -> None:
    run = Run()
    finished(violations=("phone: fact seq 3 after 1",), violation_count=4)(run)
    assert (run.summary().ok, run.summary().violation_count) == (False, 4)
    run = Run()
    run.book.troubles.add("order o1: 500")
    assert (run.summary().ok, run.summary().errors, run.summary().error_texts) == (False, 1, ("order o1: 500",))


def test_doubles_and_holes_are_counted_by_name() -> None:
    run = Run()
    finished(wins={OFFER_1: (ANA, BEN), OFFER_2: (BEN,)})(run)
    no_page(run)
    summary = run.summary()
    assert (summary.double_accepts, summary.tracking_holes) == (1, 5)


@pytest.mark.parametrize(
    ("row", "why", "legal"),
    [
        (standing("o1", "created", route_status=None, offer_status="open"), "on offer, not taken yet", True),
        (standing("o1", "created", route_status=None), "waiting to be offered again", True),
        (standing("o1", "picked_up", route_status="active"), "route active", True),
        (standing("o1", "picked_up", route_status=None), "nobody will move it", False),
    ],
)
def test_an_open_order_is_explained(row: DeliveryStanding, why: str, legal: bool) -> None:
    run = Run()
    committed(standings=[row, standing("o2")])(run)
    [order] = open_orders(run.committed, run.book)
    assert why in order.why
    assert order.legal is legal


def test_strangers_in_the_database_are_nobodys_business() -> None:
    run = Run()
    committed(standings=[*run.committed.standings, standing("elsewhere", "confirmed", route_status=None)])(run)
    assert run.summary().ok


def test_a_page_cut_short_is_right_only_when_its_link_was_revoked() -> None:
    run = Run()
    page = run.book.orders["o1"].page
    assert page is not None
    page.status, page.seq, page.ended = "picked_up", 3, True
    assert "was ended at picked_up" in " ".join(run.summary().violations)
    revoked = standing("o1", link_revoked=True)
    run.committed = replace(run.committed, standings=[revoked, standing("o2")])
    assert run.summary().ok
