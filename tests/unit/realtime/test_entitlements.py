"""What a driver may be shown changes under an open socket: cards follow, and nothing is sent to who is not entitled."""

from __future__ import annotations

from uuid import UUID

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from flexlive.protocol import driver as wire
from flexlive.protocol.codec import decode_server, splice_seq
from flexlive.realtime.board import Board
from flexlive.realtime.chain import FactRow
from flexlive.realtime.facts import DriverFact, EntitlementChanged, OfferEnded, OfferShown, meaning_of
from flexlive.realtime.hub import Hub, HubFact
from flexlive.realtime.sessions import SessionStore

from .board_world import CELLS, MARKET, NOW, POINTS, offer_id, shown

TYPE, NONE = frozenset({"retail_delivery"}), frozenset[str]()
PILOT, OTHER = UUID(int=70), UUID(int=71)
DRIVER, FAMILY = UUID(int=1), UUID(int=2)


class Phone:
    """The cards on the screen, and whether one was sent that is not for this driver."""

    def __init__(self) -> None:
        self.cards: set[UUID] = set()
        self.told: list[str] = []

    def deliver(self, fact: HubFact, /) -> None:
        offer = msgspec.json.decode(fact.body, type=dict)["offer_id"]
        self.told.append(fact.kind)
        if fact.kind == "offer.open":
            self.cards.add(UUID(offer))
        elif fact.kind == "offer.gone":
            self.cards.discard(UUID(offer))


def piloted(number: int, *pilots: UUID, version: int = 1) -> OfferShown:
    return msgspec.structs.replace(shown(number, version=version), pilots=frozenset(pilots))


def test_cards_come_and_go_with_the_enrolment_and_a_card_taken_away_stays_away() -> None:
    board, phone = Board(Hub(lambda callback: callback())), Phone()
    seat = board.sit(MARKET, DRIVER, NONE, phone, online=True)
    board.move(seat, *POINTS[0], NOW)
    board.show(MARKET, shown(1))
    assert phone.told == []
    board.entitle(seat, TYPE, frozenset(), NOW)
    board.entitle(seat, NONE, frozenset(), NOW)
    assert phone.told == ["offer.open", "offer.gone"]
    board.show(MARKET, shown(1, version=2, where=CELLS[:2]))
    board.entitle(seat, TYPE, frozenset(), NOW)
    assert phone.told == ["offer.open", "offer.gone"]
    board.show(MARKET, shown(2))
    assert phone.cards == {offer_id(2)}


def test_only_the_cohort_of_every_pilot_is_shown_the_work() -> None:
    board, phone = Board(Hub(lambda callback: callback())), Phone()
    seat = board.sit(MARKET, DRIVER, TYPE, phone, online=True, pilots=frozenset({PILOT}))
    board.move(seat, *POINTS[0], NOW)
    board.show(MARKET, piloted(1, PILOT))
    board.show(MARKET, piloted(2, PILOT, OTHER))
    assert phone.cards == {offer_id(1)}
    board.entitle(seat, TYPE, frozenset({PILOT, OTHER}), NOW)
    assert phone.cards == {offer_id(1), offer_id(2)}
    assert [msgspec.json.decode(body)["offer_id"] for body in board.render(seat, NOW)] == [
        str(offer_id(1)),
        str(offer_id(2)),
    ]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("entitle"), st.booleans(), st.booleans()),
        st.tuples(st.just("show"), st.integers(0, 3), st.booleans()),
        st.tuples(st.just("end"), st.integers(0, 3), st.booleans()),
        st.tuples(st.just("move"), st.integers(0, 1), st.booleans()),
    ),
    max_size=30,
)


@given(steps=STEPS)
def test_no_card_is_on_a_screen_without_entitlement(steps: list[tuple[str, int, bool]]) -> None:
    board, phone = Board(Hub(lambda callback: callback())), Phone()
    seat = board.sit(MARKET, DRIVER, TYPE, phone, online=True)
    versions: dict[int, int] = {}
    needs: dict[UUID, frozenset[UUID]] = {}
    types, pilots = TYPE, frozenset[UUID]()
    for step, number, flag in steps:
        match step:
            case "entitle":
                types, pilots = (TYPE if number else NONE), frozenset({PILOT} if flag else ())
                board.entitle(seat, types, pilots, NOW)
            case "show":
                versions[number] = versions.get(number, 0) + 1
                needs.setdefault(offer_id(number), frozenset({PILOT} if flag else ()))
                board.show(MARKET, piloted(number, *needs[offer_id(number)], version=versions[number]))
            case "end":
                board.end(MARKET, OfferEnded(offer_id(number), "expired", NOW))
                versions.pop(number, None)
                needs.pop(offer_id(number), None)
            case _:
                board.move(seat, *POINTS[number], NOW)
        assert not phone.cards or types
        assert all(needs[card] <= pilots for card in phone.cards)


def row(kind: str, data: object) -> FactRow:
    return FactRow(MARKET, 5, 6, f"driver:{DRIVER}", 3, kind, NOW, msgspec.Raw(msgspec.json.encode(data)))


def test_the_stream_tells_what_holds_and_the_app_why() -> None:
    view = wire.EnrolmentView(offer_type="retail_delivery", status="active", terms_version=1, terms_version_now=1)
    data = {"offer_types": ["retail_delivery"], "pilots": [PILOT], "enrolment": view}
    meaning = meaning_of(row("driver.enrolment", data))
    assert isinstance(meaning, EntitlementChanged)
    assert (meaning.driver_id, meaning.offer_types, meaning.pilots) == (DRIVER, TYPE, {PILOT})
    assert meaning.fact is not None
    assert meaning.fact.template is not None
    told = decode_server(splice_seq(meaning.fact.template, 4))
    assert isinstance(told, wire.EnrolmentUpdate)
    assert (told.seq, told.status) == (4, "active")
    silent = meaning_of(row("driver.enrolment", {"offer_types": [], "pilots": []}))
    assert isinstance(silent, EntitlementChanged)
    assert silent.fact is None
    notice = wire.NoticeView(notice_id=PILOT, title="t", body="b", offer_type="retail_delivery", expires_at=NOW)
    heard = meaning_of(row("driver.notice", {"notice": notice}))
    assert isinstance(heard, DriverFact)
    assert heard.fact.template is not None
    shown_notice = decode_server(splice_seq(heard.fact.template, 5))
    assert isinstance(shown_notice, wire.Notice)
    assert (shown_notice.notice_id, shown_notice.offer_type, shown_notice.terms_version) == (
        PILOT,
        "retail_delivery",
        None,
    )


class Socket:
    def push(self, seq: int, fact: HubFact, now: float) -> None: ...
    def replaced(self) -> None: ...
    def logged_out(self) -> None: ...
    def suspended(self) -> None: ...


def test_what_an_event_told_is_not_undone_by_what_was_read_before_it() -> None:
    now = [10.0]
    hub = Hub(lambda callback: callback())
    board = Board(hub)
    store = SessionStore(hub, board, epoch="e", now=lambda: now[0], new_sid=lambda: "s")
    session = store.open(MARKET, DRIVER, FAMILY, TYPE, Socket())
    store.entitled(MARKET, DRIVER, NONE, frozenset(), NOW)
    store.entitle_as_read(session, TYPE, frozenset(), read_at=9.0, now=NOW)
    assert session.seat.offer_types == NONE
    store.entitle_as_read(session, TYPE, frozenset({PILOT}), read_at=11.0, now=NOW)
    assert (session.seat.offer_types, session.seat.pilots) == (TYPE, {PILOT})
