"""H3 cells as integers. The only module that uses h3."""

from __future__ import annotations

import re
from functools import lru_cache
from math import isfinite
from typing import Final, Protocol, cast

import h3.api.basic_int as _untyped  # pyright: ignore[reportMissingTypeStubs]

from flexlive.domain.errors import ErrorCode, FlexliveError


class _H3(Protocol):
    """The part of h3's integer interface in use; h3 ships no types."""

    def latlng_to_cell(self, lat: float, lng: float, res: int) -> int: ...
    def cell_to_latlng(self, h: int) -> tuple[float, float]: ...
    def cell_to_parent(self, h: int, res: int) -> int: ...
    def get_resolution(self, h: int) -> int: ...
    def grid_disk(self, h: int, k: int) -> list[int]: ...
    def is_valid_cell(self, h: int) -> bool: ...


_h3: Final = cast("_H3", _untyped)

RINGS_MAX: Final = 40
DISK_CACHE_ENTRIES_MAX: Final = 4096
_WIRE = re.compile(r"[0-9a-f]{15}")


def cell_of(lat: float, lon: float, resolution: int) -> int:
    """The cell of a point in degrees; FlexliveError(invalid) for a point that is not on the earth."""
    if not (isfinite(lat) and isfinite(lon) and -90 <= lat <= 90 and -180 <= lon <= 180):
        raise FlexliveError(ErrorCode.INVALID, "lat must be within ±90 and lon within ±180 degrees")
    return _h3.latlng_to_cell(lat, lon, resolution)


@lru_cache(maxsize=DISK_CACHE_ENTRIES_MAX)
def disk(cell: int, k: int) -> tuple[int, ...]:
    """All cells within k steps, ascending. k in 0..RINGS_MAX, else ValueError."""
    if not 0 <= k <= RINGS_MAX:
        raise ValueError(f"k must be in 0..{RINGS_MAX}")
    return tuple(sorted(_h3.grid_disk(cell, k)))


@lru_cache(maxsize=DISK_CACHE_ENTRIES_MAX)
def ring(cell: int, k: int) -> tuple[int, ...]:
    """The cells exactly k steps away, ascending. As a difference of disks, which holds around pentagons too."""
    if k == 0:
        return disk(cell, 0)
    inner = frozenset(disk(cell, k - 1))
    return tuple(each for each in disk(cell, k) if each not in inner)


def parent(cell: int, resolution: int) -> int:
    """The coarser cell that contains this one; ValueError when resolution is finer than the cell's own."""
    if resolution > _h3.get_resolution(cell):
        raise ValueError("a parent is never finer than its child")
    return _h3.cell_to_parent(cell, resolution)


def resolution_of(cell: int) -> int:
    return _h3.get_resolution(cell)


def centre(cell: int) -> tuple[float, float]:
    """(lat, lon) in degrees of the middle of the cell."""
    return _h3.cell_to_latlng(cell)


def is_valid(cell: int) -> bool:
    """Whether the number names a cell; any integer may be asked."""
    return 0 <= cell < 1 << 63 and _h3.is_valid_cell(cell)


def to_wire(cell: int) -> str:
    """Lowercase hex without leading zeros: JavaScript would round the number."""
    return f"{cell:x}"


def from_wire(text: str) -> int | None:
    """The cell written as to_wire writes it; None for anything else."""
    if _WIRE.fullmatch(text) is None:
        return None
    cell = int(text, 16)
    return cell if _h3.is_valid_cell(cell) else None
