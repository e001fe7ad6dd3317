"""Customers' doors: real ZIP codes around a pickup site, invented streets and numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import TypedDict, cast

import zipcodes

from flexlive.domain.geography import distance_m
from flexlive.lab.geo import Place, near

METRES_PER_MILE = 1609.344
JITTER_METRES_MAX = 900.0
DRAWS_MAX = 200

STREETS = (
    "Maple Ave", "Cedar St", "Juniper Way", "Mesa Dr", "Sunset Ln", "Willow Ct", "Orchard Rd", "Canyon Dr",
    "Prairie St", "Lakeview Dr", "Hickory Ln", "Magnolia Ave", "Park Pl", "Ridge Rd", "Valley View Blvd", "Elm St",
)  # fmt: skip


class ZipRecord(TypedDict):
    """The fields of a zipcodes record that are read here."""

    zip_code: str
    zip_code_type: str
    active: bool
    city: str
    state: str
    lat: str
    long: str


@dataclass(frozen=True, slots=True)
class Door:
    """Where a parcel goes. address is one line: number, street, ZIP, city, state."""

    address: str
    place: Place


@dataclass(frozen=True, slots=True)
class ZipArea:
    """A residential ZIP code and its centre."""

    zip_code: str
    city: str
    state: str
    centre: Place


def zip_areas(centre: Place, radius_m: float) -> list[ZipArea]:
    """ZIP codes with homes whose centres lie within radius_m of centre, in ZIP order.

    Post-office boxes and single-building ZIP codes are left out. Raises ValueError when there are none.
    """
    # The library's own filter is in miles and does not say which sphere it uses: ask wide, then measure.
    wide = zipcodes.filter_by_coordinates(centre.lat, centre.lon, math.ceil(1.05 * radius_m / METRES_PER_MILE))  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    areas = [
        ZipArea(record["zip_code"], record["city"], record["state"], Place(float(record["lat"]), float(record["long"])))
        for record in cast("list[ZipRecord]", wide)
        if record["zip_code_type"] == "STANDARD" and record["active"]
    ]
    close = sorted((a for a in areas if distance_m(a.centre, centre) <= radius_m), key=lambda a: a.zip_code)
    if not close:
        raise ValueError(f"no residential ZIP code within {radius_m:.0f} m of {centre.lat:.4f}, {centre.lon:.4f}")
    return close


def draw_door(areas: list[ZipArea], site: Place, radius_m: float, random: Random) -> Door:
    """A door in one of the areas, within radius_m of site. The same random state gives the same door."""
    area = random.choice(areas)
    place = near(area.centre, JITTER_METRES_MAX, random)
    for _ in range(DRAWS_MAX):
        if distance_m(place, site) <= radius_m:
            break
        place = near(area.centre, JITTER_METRES_MAX, random)
    else:
        place = area.centre
    number, street = random.randrange(100, 9900), random.choice(STREETS)
    return Door(f"{number} {street}, {area.zip_code} {area.city}, {area.state}", place)
