"""Each row of a driver's pay in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from flexlive.domain.pay import LedgerKind

_WHAT: Final[Mapping[str, str]] = {
    LedgerKind.BASE: "Base pay, delivery from {store}",
    LedgerKind.DISTANCE: "Distance pay, delivery from {store}",
    LedgerKind.TIP: "Tip from the customer, delivery from {store}",
    LedgerKind.WAIT: "Waiting at {store} beyond the free time",
    LedgerKind.RETURN: "Way back to {store} with an undelivered order",
    LedgerKind.PARTIAL: "Part of the pay, delivery from {store}",
    LedgerKind.ADJUSTMENT: "Adjustment by operations",
}
_WHY: Final[Mapping[str, str]] = {
    "delivered": "delivered",
    "returned": "brought back to the store",
    "disposed": "disposed of as agreed",
    "cancelled": "cancelled after you had checked in",
    "custody_transferred": "handed to another driver",
}
_TOLD_BY_KIND: Final = frozenset({LedgerKind.TIP, LedgerKind.WAIT, LedgerKind.RETURN})
"""Kinds whose own words say why already."""


def explain(kind: str, event_kind: str, store_name: str | None, reason_code: str | None) -> str:
    """Why this row is in the ledger, for the driver who reads it; names no customer and no address.

    event_kind: of the event that earned it, such as `delivery.delivered`. reason_code: of that event.
    """
    text = _WHAT.get(kind, "Pay, delivery from {store}").replace("{store}", store_name or "the store")
    _, _, happened = event_kind.partition(".")
    why = None if kind in _TOLD_BY_KIND else _WHY.get(happened)
    if kind == LedgerKind.ADJUSTMENT:
        about = None if store_name is None else f"delivery from {store_name}"
        words = None if reason_code is None else reason_code.replace("_", " ")
        why = ", ".join(part for part in (about, words) if part) or None
    return text if why is None else f"{text}: {why}"
