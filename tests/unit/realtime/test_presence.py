from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from flexlive.domain import cells
from flexlive.realtime.presence import DirtyPosition, Position, Presence

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
ANA, BO = UUID(int=1), UUID(int=2)


def at(seconds: int, lat: float = 36.1, lon: float = -115.2) -> Position:
    moment = NOW + timedelta(seconds=seconds)
    return Position(lat=lat, lon=lon, accuracy_m=5, at=moment, received_at=moment)


def test_the_newest_position_wins_whatever_the_order_of_arrival():
    presence = Presence()
    assert presence.record("m", ANA, at(10)) is not None
    assert presence.record("m", ANA, at(5)) is None
    assert presence.record("m", ANA, at(10)) is None
    present = presence.get("m", ANA)
    assert present is not None
    assert present.position == at(10)


def test_drivers_are_found_by_cell_at_the_markets_resolution_until_they_leave():
    presence = Presence()
    presence.configure("m", presence_resolution=8)
    cell = cells.cell_of(36.1, -115.2, 8)
    presence.connect("m", ANA)
    presence.record("m", ANA, at(0))
    presence.record("m", BO, at(0, lat=36.5))
    assert presence.drivers_in("m", [cell]) == [ANA]
    presence.record("m", ANA, at(1, lat=36.4))
    assert presence.drivers_in("m", [cell]) == []
    assert presence.connected("m") == {ANA}
    assert presence.connected_count() == presence.connected_count("m") == 1
    presence.disconnect("m", ANA)
    presence.disconnect("m", ANA)
    assert presence.get("m", ANA) is None
    assert presence.connected_count("m") == 0
    assert presence.drivers_in("m", [cells.cell_of(36.4, -115.2, 8)]) == []


def test_a_position_outlives_its_socket_until_it_is_stored():
    presence = Presence()
    presence.record("m", ANA, at(0))
    presence.disconnect("m", ANA)
    assert presence.drain_dirty(10) == [DirtyPosition("m", ANA, at(0))]
    assert presence.drain_dirty(10) == []


def test_what_is_given_back_does_not_overwrite_what_came_meanwhile():
    presence = Presence()
    presence.record("m", ANA, at(0))
    presence.record("m", BO, at(0))
    rows = presence.drain_dirty(10)
    presence.record("m", ANA, at(1))
    presence.give_back(rows)
    assert {row.driver_id: row.position for row in presence.drain_dirty(10)} == {ANA: at(1), BO: at(0)}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), max_size=60), st.integers(1, 4))
def test_draining_takes_everything_once_one_market_at_a_time_each_in_turn(pings: list[tuple[str, int]], limit: int):
    presence = Presence()
    for second, (market_id, driver) in enumerate(pings):
        presence.record(market_id, UUID(int=driver), at(second))
    drained: list[DirtyPosition] = []
    turns: list[str] = []
    while rows := presence.drain_dirty(limit):
        assert len(rows) <= limit
        assert len({row.market_id for row in rows}) == 1
        turns.append(rows[0].market_id)
        drained += rows
    assert {(row.market_id, row.driver_id.int) for row in drained} == set(pings)
    assert len(drained) == len(set(pings))
    assert turns[: len(set(turns))] == list(dict.fromkeys(turns))
