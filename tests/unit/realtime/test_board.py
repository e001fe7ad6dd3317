from datetime import timedelta
from uuid import UUID

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from flexlive.realtime.board import Board, Seat
from flexlive.realtime.facts import OfferDeclined, OfferEnded
from flexlive.realtime.hub import Hub, HubFact

from .board_world import CELLS, MARKET, NOW, POINTS, offer_id, shown

ENROLLED = frozenset({"retail_delivery"})


class Phone:
    """What one driver was told, by offer."""

    def __init__(self) -> None:
        self.told: list[tuple[str, UUID]] = []

    def deliver(self, fact: HubFact, /) -> None:
        self.told.append((fact.kind, msgspec.json.decode(fact.body, type=dict)["offer_id"]))

    def take(self) -> list[tuple[str, str]]:
        told, self.told = self.told, []
        return [(kind, str(each)) for kind, each in told]


def driver(number: int) -> UUID:
    return UUID(int=number + 1)


def a_board() -> Board:
    return Board(Hub(lambda callback: callback()))


def seat(board: Board, number: int, types: frozenset[str] = ENROLLED, online: bool = True) -> tuple[Seat, Phone]:
    phone = Phone()
    return board.sit(MARKET, driver(number), types, phone, online=online), phone


def opened(number: int) -> tuple[str, str]:
    return "offer.open", str(offer_id(number))


def gone(number: int) -> tuple[str, str]:
    return "offer.gone", str(offer_id(number))


def test_driving_away_removes_nothing_and_moving_in_adds():
    board = a_board()
    near, near_phone = seat(board, 1)
    far, far_phone = seat(board, 2)
    board.move(near, *POINTS[0], NOW)
    board.move(far, *POINTS[1], NOW)
    board.show(MARKET, shown(1))
    assert (near_phone.take(), far_phone.take()) == ([opened(1)], [])
    board.move(near, *POINTS[2], NOW)
    board.move(far, *POINTS[0], NOW)
    assert (near_phone.take(), far_phone.take()) == ([], [opened(1)])
    board.end(MARKET, OfferEnded(offer_id(1), "expired", NOW))
    assert (near_phone.take(), far_phone.take()) == ([gone(1)], [gone(1)])


def test_the_winner_is_not_told_that_it_is_gone_and_nobody_is_told_who_won():
    board = a_board()
    seats = [seat(board, number) for number in range(3)]
    for each, _ in seats:
        board.move(each, *POINTS[0], NOW)
    board.show(MARKET, shown(1))
    board.end(MARKET, OfferEnded(offer_id(1), "taken", NOW, winner=driver(1)))
    assert [phone.take()[1:] for _, phone in seats] == [[gone(1)], [], [gone(1)]]


def test_who_is_not_enrolled_is_never_shown_it():
    board = a_board()
    stranger, phone = seat(board, 1, types=frozenset({"groceries"}))
    board.move(stranger, *POINTS[0], NOW)
    board.show(MARKET, shown(1))
    board.move(stranger, *POINTS[1], NOW)
    board.move(stranger, *POINTS[0], NOW)
    board.set_online(stranger, False, NOW)
    board.set_online(stranger, True, NOW)
    assert board.render(stranger, NOW) == []
    board.end(MARKET, OfferEnded(offer_id(1), "expired", NOW))
    assert phone.take() == []


def test_going_online_misses_no_open_offer():
    board = a_board()
    sleeper, phone = seat(board, 1, online=False)
    board.move(sleeper, *POINTS[0], NOW)
    board.show(MARKET, shown(1))
    assert phone.take() == []
    board.set_online(sleeper, True, NOW)
    assert phone.take() == [opened(1)]


def test_a_wider_offer_updates_those_who_see_it_and_opens_for_the_rest():
    board = a_board()
    first, first_phone = seat(board, 1)
    second, second_phone = seat(board, 2)
    board.move(first, *POINTS[0], NOW)
    board.move(second, *POINTS[1], NOW)
    board.show(MARKET, shown(1))
    board.show(MARKET, shown(1, version=2, where=CELLS[:2]))
    board.show(MARKET, shown(1, version=1))
    assert first_phone.take() == [opened(1), ("offer.update", str(offer_id(1)))]
    assert second_phone.take() == [opened(1)]


def test_who_declined_or_refused_the_work_before_is_not_shown_it_again():
    board = a_board()
    one, one_phone = seat(board, 1)
    two, two_phone = seat(board, 2)
    for each in (one, two):
        board.move(each, *POINTS[0], NOW)
    board.show(MARKET, shown(1, excluded=(driver(2),)))
    board.decline(MARKET, OfferDeclined(offer_id(1), driver(1)))
    assert board.render(one, NOW) == board.render(two, NOW) == []
    assert (one_phone.take(), two_phone.take()) == ([opened(1)], [])


def test_what_a_snapshot_left_out_is_sent_again_on_coming_online():
    """Offline, a fresh snapshot without cards, online again: the offers still open must come back."""
    board = a_board()
    one, phone = seat(board, 1)
    board.move(one, *POINTS[0], NOW)
    board.show(MARKET, shown(1))
    board.set_online(one, False, NOW)
    assert board.render(one, NOW) == []
    board.set_online(one, True, NOW)
    assert phone.take() == [opened(1), opened(1)]


def test_a_dead_offer_is_neither_rendered_nor_shown_to_newcomers():
    board = a_board()
    newcomer, phone = seat(board, 1)
    board.show(MARKET, shown(1, valid_until=NOW + timedelta(seconds=1)))
    board.move(newcomer, *POINTS[0], NOW + timedelta(seconds=2))
    assert phone.take() == []
    assert board.render(newcomer, NOW + timedelta(seconds=2)) == []
    assert len(board.render(newcomer, NOW)) == 1


def test_what_was_rendered_counts_as_shown():
    board = a_board()
    one, phone = seat(board, 1)
    board.show(MARKET, shown(1))
    board.place(one, POINTS[0], online=True)
    assert phone.take() == []
    assert len(board.render(one, NOW)) == 1
    board.end(MARKET, OfferEnded(offer_id(1), "withdrawn", NOW))
    assert phone.take() == [gone(1)]


def test_nothing_reaches_a_seat_that_was_left():
    board = a_board()
    left, phone = seat(board, 1)
    board.move(left, *POINTS[0], NOW)
    board.show(MARKET, shown(1))
    phone.take()
    board.leave(left)
    board.show(MARKET, shown(1, version=2))
    board.show(MARKET, shown(2))
    board.end(MARKET, OfferEnded(offer_id(1), "expired", NOW))
    assert phone.take() == []


class BoardAgainstModel(RuleBasedStateMachine):
    """The rules of the protocol, restated as plain sets, against the indexed board."""

    numbers = st.integers(0, 3)
    places = st.sets(st.integers(0, 3), min_size=1)

    def __init__(self) -> None:
        super().__init__()
        self.board = a_board()
        self.seats = [seat(self.board, n, ENROLLED if n else frozenset(), online=n % 2 == 1) for n in range(4)]
        self.at: list[int | None] = [None] * 4
        self.online = [n % 2 == 1 for n in range(4)]
        self.offers: dict[int, tuple[int, set[int]]] = {}
        self.declined: set[tuple[int, int]] = set()
        self.shown: set[tuple[int, int]] = set()
        self.expected: list[list[tuple[str, str]]] = [[] for _ in range(4)]

    def _shows(self, offer: int, who: int) -> bool:
        return (
            self.online[who]
            and who != 0
            and (offer, who) not in self.declined
            and self.at[who] in self.offers[offer][1]
        )

    def _open_for(self, offer: int, who: int) -> None:
        if self._shows(offer, who) and (offer, who) not in self.shown:
            self.shown.add((offer, who))
            self.expected[who].append(opened(offer))

    @rule(who=numbers, place=st.integers(0, 3))
    def move(self, who: int, place: int) -> None:
        entered = self.at[who] != place
        self.at[who] = place
        self.board.move(self.seats[who][0], *POINTS[place], NOW)
        for offer in self.offers if entered else ():
            self._open_for(offer, who)

    @rule(who=numbers, online=st.booleans())
    def presence(self, who: int, online: bool) -> None:
        self.online[who] = online
        self.board.set_online(self.seats[who][0], online, NOW)
        for offer in self.offers:
            self._open_for(offer, who)

    @rule(offer=numbers, where=places)
    def show(self, offer: int, where: set[int]) -> None:
        version, before = self.offers.get(offer, (0, set[int]()))
        where |= before
        self.offers[offer] = (version + 1, where)
        event = shown(offer, version=version + 1, where=tuple(CELLS[place] for place in where))
        for who in range(4):
            if (offer, who) in self.shown and (offer, who) not in self.declined:
                self.expected[who].append(("offer.update", str(offer_id(offer))))
        for who in range(4):
            self._open_for(offer, who)
        self.board.show(MARKET, event)

    @rule(offer=numbers, winner=st.none() | numbers)
    def end(self, offer: int, winner: int | None) -> None:
        who_won = None if winner is None else driver(winner)
        self.board.end(MARKET, OfferEnded(offer_id(offer), "taken", NOW, who_won))
        if self.offers.pop(offer, None) is None:
            return
        self.declined = {pair for pair in self.declined if pair[0] != offer}
        for who in range(4):
            if (offer, who) in self.shown and who != winner:
                self.expected[who].append(gone(offer))
            self.shown.discard((offer, who))

    @rule(offer=numbers, who=numbers)
    def decline(self, offer: int, who: int) -> None:
        self.board.decline(MARKET, OfferDeclined(offer_id(offer), driver(who)))
        if offer in self.offers:
            self.declined.add((offer, who))

    @rule(who=numbers)
    def render(self, who: int) -> None:
        bodies = self.board.render(self.seats[who][0], NOW)
        visible = {msgspec.json.decode(body, type=dict)["offer_id"] for body in bodies}
        entitled = {
            offer for offer in self.offers
            if self.online[who] and who != 0 and (offer, who) not in self.declined
            and (self.at[who] in self.offers[offer][1] or (offer, who) in self.shown)
        }  # fmt: skip
        assert visible == {str(offer_id(offer)) for offer in entitled}
        # A snapshot is everything: what it left out is no longer on the phone.
        self.shown = {pair for pair in self.shown if pair[1] != who} | {(offer, who) for offer in entitled}

    @rule(who=numbers)
    def come_anew(self, who: int) -> None:
        former, phone = self.seats[who]
        self.board.leave(former)
        self.board.leave(former)
        fresh = self.board.sit(MARKET, driver(who), former.offer_types, phone, online=self.online[who])
        self.seats[who] = (fresh, phone)
        self.at[who] = None
        self.shown = {pair for pair in self.shown if pair[1] != who}

    @invariant()
    def everyone_was_told_exactly_that(self) -> None:
        for (_, phone), expected in zip(self.seats, self.expected, strict=True):
            assert sorted(phone.take()) == sorted(expected)
            expected.clear()
        assert self.board.open_count(MARKET) == len(self.offers)


BoardAgainstModel.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestBoardAgainstModel = BoardAgainstModel.TestCase
