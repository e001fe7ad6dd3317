"""What a driver's app sends and gets over HTTP instead of its socket."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct


class Ticket(Struct, frozen=True, kw_only=True):
    """Opens one socket, once, until expires_at."""

    ticket: str
    expires_at: datetime
