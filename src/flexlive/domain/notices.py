"""A text from a market's operators to its drivers: to whom it goes."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from flexlive.domain import cells
from flexlive.domain.errors import ErrorCode, FlexliveError


class AudienceKind(StrEnum):
    MARKET = "market"
    CELLS = "cells"
    DRIVERS = "drivers"
    PILOT = "pilot"


def cells_from_wire(texts: Iterable[str], resolution: int) -> frozenset[int]:
    """FlexliveError(invalid) for what is not an H3 cell of this resolution."""
    found: set[int] = set()
    for text in texts:
        cell = cells.from_wire(text)
        if cell is None or cells.resolution_of(cell) != resolution:
            raise FlexliveError(ErrorCode.INVALID, f"audience.cells are H3 cells of resolution {resolution}")
        found.add(cell)
    return frozenset(found)
