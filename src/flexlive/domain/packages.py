"""Packages: sizes, and in whose hands each one is (invariant I2)."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class PackageSize(StrEnum):
    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"
    EXTRA_LARGE = "extra_large"


class PackageCustody(StrEnum):
    """missing: never left the store, with a reason."""

    STORE = "store"
    HELD = "held"
    DELIVERED = "delivered"
    RETURNED = "returned"
    DISPOSED = "disposed"
    LOST = "lost"
    MISSING = "missing"


_C = PackageCustody
CUSTODY_TRANSITIONS: Final[tuple[tuple[PackageCustody, PackageCustody], ...]] = (
    (_C.STORE, _C.HELD),
    (_C.STORE, _C.MISSING),
    (_C.HELD, _C.DELIVERED),
    (_C.HELD, _C.RETURNED),
    (_C.HELD, _C.DISPOSED),
    (_C.HELD, _C.LOST),
)
"""A transfer between two drivers stays `held`."""
