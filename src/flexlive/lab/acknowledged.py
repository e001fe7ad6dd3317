"""What clients were told is done, held against what is stored. Pure: books and rows in, broken promises out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from flexlive.lab.book import OrderStory
from flexlive.storage.audit import DeliveryStanding

READINESS_AFTER: Mapping[str, frozenset[str]] = {
    "preparing": frozenset({"preparing", "ready", "delayed", "handed_over", "unavailable"}),
    "ready": frozenset({"ready", "delayed", "handed_over", "unavailable"}),
    "unavailable": frozenset({"unavailable"}),
}
"""What a store's word may have become since it was acknowledged."""


def answers_lost(driver_id: UUID, told: Mapping[str, str], kept: Mapping[str, str]) -> list[str]:
    """I4, I5: every answer a phone got is stored and would be repeated byte for byte. Both: SHA-256 by cmd."""
    broken: list[str] = []
    for cmd, digest in told.items():
        if cmd not in kept:
            broken.append(f"driver {driver_id}: the answer to {cmd} is not stored")
        elif kept[cmd] != digest:
            broken.append(f"driver {driver_id}: {cmd} was answered otherwise than is stored")
    return broken


def shops_misled(orders: Sequence[OrderStory], standings: Mapping[str, DeliveryStanding]) -> list[str]:
    """What a shop was told is recorded, is: its order, its readiness, its cancellation."""
    broken: list[str] = []
    for order in orders:
        name, standing = order.external_delivery_id, standings.get(order.external_delivery_id)
        if not order.created:
            continue
        if standing is None:
            broken.append(f"order {name} was created, but is not stored")
            continue
        if order.delivery_id != standing.delivery_id:
            broken.append(f"order {name} was created as {order.delivery_id}, stored is {standing.delivery_id}")
        said = order.readiness
        if said is not None and standing.readiness not in READINESS_AFTER[said]:
            broken.append(f"order {name} was acknowledged as {said}, stored is {standing.readiness}")
        if order.cancelled and standing.status != "cancelled":
            broken.append(f"order {name} was acknowledged as cancelled, stored is {standing.status}")
    return broken
