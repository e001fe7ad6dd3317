"""How much HTTP one client may ask for. Sockets have limits of their own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """requests_per_minute_max: of one good token, or of one address without; 0 switches the limit off.

    streams_per_link_max: open tracking streams of one link in this process.
    """

    requests_per_minute_max: int = 1200
    streams_per_link_max: int = 10
    stream_facts_queued_max: int = 64
    stream_heartbeat_seconds: float = 15.0
    stream_recheck_seconds: float = 300.0
