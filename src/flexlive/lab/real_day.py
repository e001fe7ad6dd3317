"""Reads an instance of the Meal Delivery Routing Problem (public set grubhub/mdrplib) as published.

Tab-separated tables with a header line; whole minutes from the start of the operating day; metres.
Columns are found by name, so extra ones and another order do no harm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

FILE_BYTES_MAX = 16 * 1024 * 1024
MINUTES_PER_DAY = 24 * 60


class RealDayError(ValueError):
    """The folder is no such instance; the text names file, line and column."""


@dataclass(frozen=True, slots=True)
class Restaurant:
    restaurant: str
    x_m: float
    y_m: float


@dataclass(frozen=True, slots=True)
class Courier:
    """On duty from on_minute until off_minute, starting at x, y."""

    courier: str
    x_m: float
    y_m: float
    on_minute: float
    off_minute: float


@dataclass(frozen=True, slots=True)
class DayOrder:
    """x, y is the door."""

    order: str
    x_m: float
    y_m: float
    placed_minute: float
    restaurant: str
    ready_minute: float


@dataclass(frozen=True, slots=True)
class DayParameters:
    """Service minutes are whole visits: one half before the hand-over, one half after."""

    metres_per_minute: float
    pickup_service_minutes: float
    dropoff_service_minutes: float
    target_click_to_door_minutes: float
    maximum_click_to_door_minutes: float
    pay_per_order_dollars: float


@dataclass(frozen=True, slots=True)
class RealDay:
    name: str
    parameters: DayParameters
    restaurants: tuple[Restaurant, ...]
    couriers: tuple[Courier, ...]
    orders: tuple[DayOrder, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """Minutes of the operating day, start inclusive, end exclusive."""

    start_minute: int
    end_minute: int

    def __str__(self) -> str:
        return "-".join(f"{m // 60:02d}:{m % 60:02d}" for m in (self.start_minute, self.end_minute))


def parse_window(text: str) -> Window:
    """'10:00-10:30' as hours and minutes of the operating day. Raises RealDayError."""
    try:
        start, end = (int(h) * 60 + int(m) for h, m in (part.split(":") for part in text.strip().split("-")))
    except ValueError:
        raise RealDayError(f"window {text!r} is not HH:MM-HH:MM") from None
    if not 0 <= start < end <= MINUTES_PER_DAY:
        raise RealDayError(f"window {text!r} does not lie within one day")
    return Window(start, end)


class Row:
    """One line of a table, asked by column name."""

    def __init__(self, path: Path, line: int, cells: dict[str, str]) -> None:
        self._path, self._line, self._cells = path, line, cells

    def text(self, column: str) -> str:
        value = self._cells.get(column, "").strip()
        if not value:
            raise RealDayError(f"{self._path.name}, line {self._line}: no value in column {column!r}")
        return value

    def number(self, column: str) -> float:
        text = self.text(column)
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise RealDayError(f"{self._path.name}, line {self._line}: column {column!r} holds {text!r}, not a number")
        return value


def read_rows(path: Path, columns: tuple[str, ...]) -> list[Row]:
    """Rows below the header line; every named column must be in the header."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise RealDayError(f"{path.name} is larger than {FILE_BYTES_MAX} bytes")
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RealDayError(f"cannot read {path}: {error}") from error
    header = [name.strip() for name in lines[0].split("\t")] if lines else []
    missing = [name for name in columns if name not in header]
    if missing:
        raise RealDayError(f"{path.name}: header has no column {', '.join(map(repr, missing))} (found {header})")
    return [
        Row(path, number, dict(zip(header, line.split("\t"), strict=False)))
        for number, line in enumerate(lines[1:], start=2)
        if line.strip()
    ]


def load_day(folder: Path) -> RealDay:
    """The instance in folder. Raises RealDayError."""
    if not folder.is_dir():
        raise RealDayError(f"{folder} is not a folder")
    restaurants = tuple(
        Restaurant(r.text("restaurant"), r.number("x"), r.number("y"))
        for r in read_rows(folder / "restaurants.txt", ("restaurant", "x", "y"))
    )
    couriers = tuple(
        Courier(r.text("courier"), r.number("x"), r.number("y"), r.number("on_time"), r.number("off_time"))
        for r in read_rows(folder / "couriers.txt", ("courier", "x", "y", "on_time", "off_time"))
    )
    orders = tuple(
        DayOrder(
            r.text("order"),
            r.number("x"),
            r.number("y"),
            r.number("placement_time"),
            r.text("restaurant"),
            r.number("ready_time"),
        )
        for r in read_rows(folder / "orders.txt", ("order", "x", "y", "placement_time", "restaurant", "ready_time"))
    )
    day = RealDay(folder.resolve().name, _parameters(folder), restaurants, couriers, orders)
    _check(day)
    return day


def _parameters(folder: Path) -> DayParameters:
    names = (
        "meters_per_minute",
        "pickup service minutes",
        "dropoff service minutes",
        "target click-to-door",
        "maximum click-to-door",
        "pay per order",
    )
    rows = read_rows(folder / "instance_parameters.txt", names)
    if len(rows) != 1:
        raise RealDayError(f"instance_parameters.txt has {len(rows)} rows, not one")
    parameters = DayParameters(*(rows[0].number(name) for name in names))
    if parameters.metres_per_minute <= 0:
        raise RealDayError("instance_parameters.txt: meters_per_minute is not above zero")
    return parameters


def _check(day: RealDay) -> None:
    _unique("restaurants.txt", [r.restaurant for r in day.restaurants])
    _unique("couriers.txt", [c.courier for c in day.couriers])
    _unique("orders.txt", [o.order for o in day.orders])
    known = {r.restaurant for r in day.restaurants}
    for order in day.orders:
        if order.restaurant not in known:
            raise RealDayError(f"orders.txt: order {order.order} names unknown restaurant {order.restaurant}")
        if order.ready_minute < order.placed_minute:
            raise RealDayError(f"orders.txt: order {order.order} is ready before it is placed")
    for courier in day.couriers:
        if courier.off_minute <= courier.on_minute:
            raise RealDayError(f"couriers.txt: courier {courier.courier} goes off before coming on")


def _unique(file: str, names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise RealDayError(f"{file}: {name} appears twice")
        seen.add(name)


def within(day: RealDay, window: Window) -> RealDay:
    """The day cut to a window: orders placed in it and couriers whose shift overlaps it."""
    return RealDay(
        day.name,
        day.parameters,
        day.restaurants,
        tuple(c for c in day.couriers if c.on_minute < window.end_minute and c.off_minute > window.start_minute),
        tuple(o for o in day.orders if window.start_minute <= o.placed_minute < window.end_minute),
    )
