"""Where NATS is and what its bus may hold. Apart from the library, whose import costs a process that has no NATS half a
second."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsOptions:
    """servers: URLs (`nats://[user:password@ or token@]host:port`, `tls://…`), any of one cluster.
    credentials: a .creds file. tls_*: PEM files; ca None means the system's.

    check_seconds and round_trip_seconds_max: together how long a silent server goes unnoticed.
    outgoing_*: what waits to be sent; beyond it messages are dropped. subscription_*: likewise for what arrives.
    unflushed_bytes_max: of it, what is handed to the connection before the kernel takes it.
    """

    servers: tuple[str, ...] = ()
    credentials: Path | None = None
    tls_ca: Path | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    connect_seconds_max: float = 5.0
    start_seconds_max: float = 5.0
    stop_seconds_max: float = 2.0
    check_seconds: float = 1.0
    round_trip_seconds_max: float = 2.0
    retry_seconds_min: float = 0.1
    retry_seconds_max: float = 2.0
    outgoing_messages_max: int = 10_000
    outgoing_bytes_max: int = 16 * 1024 * 1024
    unflushed_bytes_max: int = 1024 * 1024
    subscription_messages_max: int = 10_000
    subscription_bytes_max: int = 64 * 1024 * 1024
