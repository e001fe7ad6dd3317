"""Straight lines on a city-sized piece of the earth, for cars that exist only in the lab."""

from __future__ import annotations

import math
from random import Random

from flexlive.domain.geography import EARTH_RADIUS_M
from flexlive.domain.geography import Point as Place

METRES_PER_DEGREE = math.pi * EARTH_RADIUS_M / 180


def offset(origin: Place, east_m: float, north_m: float) -> Place:
    """The place so many metres east and north of origin; 0.1 % exact within 50 km, outside the polar circles."""
    lat = origin.lat + north_m / METRES_PER_DEGREE
    return Place(lat, origin.lon + east_m / (METRES_PER_DEGREE * math.cos(math.radians(origin.lat))))


def between(a: Place, b: Place, share: float) -> Place:
    """The place after share (0..1) of the straight way from a to b."""
    share = min(1.0, max(0.0, share))
    return Place(a.lat + (b.lat - a.lat) * share, a.lon + (b.lon - a.lon) * share)


def near(centre: Place, radius_m: float, random: Random) -> Place:
    """A place drawn evenly from the disc around centre."""
    reach_m, angle = radius_m * math.sqrt(random.random()), random.uniform(0, 2 * math.pi)
    return offset(centre, reach_m * math.cos(angle), reach_m * math.sin(angle))
