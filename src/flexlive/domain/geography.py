"""Points on the earth and the distance between them."""

from __future__ import annotations

from math import asin, cos, isfinite, radians, sin, sqrt
from typing import Final, NamedTuple

EARTH_RADIUS_M: Final = 6_371_008.8


class Point(NamedTuple):
    """Degrees; lat within ±90, lon within ±180."""

    lat: float
    lon: float


def on_earth(lat: float, lon: float) -> bool:
    """Whether the pair is a point at all: finite and in range."""
    return isfinite(lat) and isfinite(lon) and -90 <= lat <= 90 and -180 <= lon <= 180


def distance_m(a: Point, b: Point) -> float:
    """Great-circle metres (haversine); right across the antimeridian and at the poles."""
    lat_a, lat_b = radians(a.lat), radians(b.lat)
    half_lat, half_lon = (lat_b - lat_a) / 2, radians(b.lon - a.lon) / 2
    chord = sin(half_lat) ** 2 + cos(lat_a) * cos(lat_b) * sin(half_lon) ** 2
    return 2 * EARTH_RADIUS_M * asin(sqrt(min(1.0, chord)))
