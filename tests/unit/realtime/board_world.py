"""Offers, places and readers for tests of the board and of sessions."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from flexlive.domain import cells
from flexlive.realtime.facts import OfferShown, offer_on_board

MARKET = "las-vegas"
NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
RESOLUTION = 7
# Neighbouring cells, some twelve kilometres in a row, and a point inside each.
CELLS = tuple(cells.cell_of(36.1, -115.3 + 0.04 * step, RESOLUTION) for step in range(4))
POINTS = tuple(cells.centre(cell) for cell in CELLS)


def offer_id(number: int) -> UUID:
    return UUID(int=0x0198F000_0000_7000_8000_000000000000 + number)


def offer_data(
    number: int,
    *,
    version: int = 1,
    where: tuple[int, ...] = CELLS[:1],
    offer_type: str = "retail_delivery",
    valid_until: datetime = NOW + timedelta(minutes=5),
    excluded: tuple[UUID, ...] = (),
) -> bytes:
    """The data of an `offer.opened` event."""
    place = {"id": offer_id(99), "kind": "mall", "name": "M", "entrance": {"name": "E", "lat": 36.1, "lon": -115.2}}
    offer = {
        "offer_id": offer_id(number), "offer_version": version, "offer_type": offer_type, "shape": "on_demand",
        "site": place, "stores": [], "delivery_count": 1, "package_count": 1, "dropoff_cells": [], "rule": "first",
        "pay": {"base_cents": 900, "tip_cents": 0, "wait_rate_cents_per_minute": 0, "currency": "USD"},
        "estimate": {"drive_seconds": 1, "walk_seconds": 1, "wait_seconds": 1, "distance_m": 1},
        "opened_at": NOW, "valid_until": valid_until,
    }  # fmt: skip
    cells_on_wire = [cells.to_wire(cell) for cell in where]
    return msgspec.json.encode({"offer": offer, "cells": cells_on_wire, "excluded": list(excluded)})


def shown(number: int, **changes: object) -> OfferShown:
    return offer_on_board(offer_data(number, **changes))  # pyright: ignore[reportArgumentType]
