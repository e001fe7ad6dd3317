"""The loader of recorded days: by header, strict, and clear about what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from flexlive.domain.geography import distance_m
from flexlive.lab.real_day import RealDay, RealDayError, Window, load_day, parse_window, within
from flexlive.lab.real_day_scenario import RecordedWindow, real_day_scenario, whole_window
from flexlive.lab.real_day_world import place_of

FILES = {
    "restaurants.txt": "restaurant\tx\ty\nr1\t8708\t5633\nr2\t9103\t6345\n",
    "couriers.txt": "courier\tx\ty\ton_time\toff_time\nc1\t100\t200\t0\t90\nc2\t300\t400\t60\t240\n",
    "orders.txt": (
        "order\tx\ty\tplacement_time\trestaurant\tready_time\n"
        "o1\t9131\t7497\t59\tr1\t65\no2\t9024\t6677\t60\tr2\t76\no3\t1\t2\t119\tr1\t120\no4\t1\t2\t120\tr1\t121\n"
    ),
    "instance_parameters.txt": (
        "meters_per_minute\tpickup service minutes\tdropoff service minutes\ttarget click-to-door\t"
        "maximum click-to-door\tpay per order\tguaranteed pay per hour\n320\t4\t4\t40\t90\t10\t15\n"
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def spoil(folder: Path, file: str, old: str, new: str) -> Path:
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))
    return folder


def test_the_whole_instance_is_read(folder: Path) -> None:
    day = load_day(folder)
    assert [r.restaurant for r in day.restaurants] == ["r1", "r2"]
    assert (day.couriers[1].on_minute, day.couriers[1].off_minute, day.couriers[1].x_m) == (60, 240, 300)
    assert (day.orders[0].placed_minute, day.orders[0].ready_minute, day.orders[0].restaurant) == (59, 65, "r1")
    assert (day.parameters.metres_per_minute, day.parameters.target_click_to_door_minutes) == (320, 40)


def test_columns_are_found_by_name_wherever_they_stand(folder: Path) -> None:
    (folder / "couriers.txt").write_text("note\toff_time\tx\ton_time\ty\tcourier\nhi\t90\t100\t0\t200\tc1\n\n")
    courier = load_day(folder).couriers[0]
    assert (courier.courier, courier.x_m, courier.y_m, courier.on_minute, courier.off_minute) == ("c1", 100, 200, 0, 90)


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("orders.txt", "placement_time", "time", "orders.txt: header has no column 'placement_time'"),
        ("orders.txt", "\t59\t", "\tsoon\t", "orders.txt, line 2: column 'placement_time' holds 'soon'"),
        ("orders.txt", "9131", "nan", "column 'x' holds 'nan'"),
        ("orders.txt", "\tr2\t", "\tr9\t", "unknown restaurant r9"),
        ("orders.txt", "o2\t", "o1\t", "o1 appears twice"),
        ("orders.txt", "\t65", "\t58", "ready before it is placed"),
        ("orders.txt", "\t65", "\t", "line 2: no value in column 'ready_time'"),
        ("couriers.txt", "\t0\t90", "\t90\t90", "c1 goes off before coming on"),
        ("instance_parameters.txt", "\n320", "\n0", "not above zero"),
        ("instance_parameters.txt", "\n320", "\n1\t1\t1\t1\t1\t1\t1\n320", "has 2 rows"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(folder: Path, file: str, old: str, new: str, said: str) -> None:
    with pytest.raises(RealDayError, match=said):
        load_day(spoil(folder, file, old, new))


def test_a_missing_file_or_folder_is_said(folder: Path) -> None:
    (folder / "orders.txt").unlink()
    with pytest.raises(RealDayError, match=r"orders\.txt"):
        load_day(folder)
    with pytest.raises(RealDayError, match="not a folder"):
        load_day(folder / "nowhere")


def test_bytes_that_are_no_text_are_said(folder: Path) -> None:
    (folder / "orders.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RealDayError, match="cannot read"):
        load_day(folder)


@pytest.mark.parametrize("text", ["10:00", "10-11", "11:00-10:00", "10:00-10:00", "-1:00-02:00", "10:00-25:00", "x"])
def test_a_window_must_be_one(text: str) -> None:
    with pytest.raises(RealDayError):
        parse_window(text)


def test_a_window_counts_minutes_of_the_operating_day() -> None:
    assert parse_window("10:00-10:30") == Window(600, 630)
    assert str(Window(600, 630)) == "10:00-10:30"


def test_the_window_takes_its_orders_and_whoever_is_on_duty_in_it(folder: Path) -> None:
    day = within(load_day(folder), Window(60, 120))
    assert [order.order for order in day.orders] == ["o2", "o3"]
    assert [courier.courier for courier in day.couriers] == ["c1", "c2"]
    assert [c.courier for c in within(load_day(folder), Window(90, 120)).couriers] == ["c2"]


def test_metres_of_the_set_are_metres_on_earth() -> None:
    for x_m, y_m in ((0.0, 0.0), (11491.0, 2806.0), (-3000.0, 15000.0)):
        flat = ((x_m - 500) ** 2 + (y_m - 700) ** 2) ** 0.5
        assert distance_m(place_of(x_m, y_m), place_of(500, 700)) == pytest.approx(flat, rel=0.003)


def scenario_of(day: RealDay, window: Window):
    return real_day_scenario(RecordedWindow(within(day, window), window), 60.0, "recorded-day-x")


def test_a_minute_of_the_day_is_a_second_at_speed_sixty(folder: Path) -> None:
    scenario = scenario_of(load_day(folder), Window(60, 120))
    assert scenario.order_seconds == 60
    late, early = scenario.drivers[1], scenario.drivers[0]
    assert (early.on_seconds, early.off_seconds) == (-60, 30)
    assert (late.on_seconds, late.off_seconds) == (0, 180)
    assert [(o.at_seconds, o.prep_seconds) for o in scenario.orders] == [(0, 16), (59, 1)]
    assert {o.external_store_id for o in scenario.orders} == {"r1", "r2"}
    assert scenario.habits.eager


def test_travel_is_that_of_the_set_rounded_up_to_a_minute(folder: Path) -> None:
    travel = scenario_of(load_day(folder), Window(60, 120)).travel
    assert (travel.seconds(0), travel.seconds(320), travel.seconds(321)) == (0, 60, 120)
    assert (travel.pickup_before_seconds, travel.dropoff_after_seconds) == (120, 120)


def test_a_day_without_a_window_begins_with_the_first_shift(folder: Path) -> None:
    assert whole_window(load_day(folder)) == Window(0, 121)
