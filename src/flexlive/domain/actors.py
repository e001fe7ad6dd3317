"""Who may act on a delivery, an offer or a route; the actor of every event."""

from __future__ import annotations

from enum import StrEnum


class ActorType(StrEnum):
    """system is a rule or a worker of ours: expiry, a crossing seen in the positions, a time limit."""

    DRIVER = "driver"
    MERCHANT = "merchant"
    STORE = "store"
    CUSTOMER = "customer"
    OPS = "ops"
    SYSTEM = "system"
