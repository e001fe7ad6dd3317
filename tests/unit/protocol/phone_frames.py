"""Frames as a server sends them, and a phone's session that is fed with them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from flexlive.protocol import driver
from flexlive.protocol.client_session import (
    ClientSession,
    Effect,
    SendFrame,
)
from flexlive.protocol.codec import decode_client, encode_server, fact_template, splice_seq
from flexlive.protocol.early_messages import EARLY_SECONDS_MAX

OFFER = UUID("0198f000-0000-7000-8000-000000000001")
ROUTE = UUID("0198f000-0000-7000-8000-000000000002")
NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
LIMITS = driver.Limits(
    frame_bytes_max=1, points_max=1, commands_burst_per_second=10, commands_per_minute=120, ack_delay_seconds_max=1
)


def offer_body(version: int = 1) -> bytes:
    return msgspec.json.encode(
        {
            "offer_id": OFFER, "offer_version": version, "offer_type": "retail_delivery", "shape": "on_demand",
            "site": {"id": ROUTE, "kind": "mall", "name": "M", "entrance": {"name": "E", "lat": 1, "lon": 1}},
            "stores": [], "delivery_count": 1, "package_count": 1, "dropoff_cells": [], "rule": "first",
            "pay": {"base_cents": 1, "tip_cents": 0, "wait_rate_cents_per_minute": 0, "currency": "USD"},
            "estimate": {"drive_seconds": 1, "walk_seconds": 1, "wait_seconds": 1, "distance_m": 1},
            "opened_at": NOW, "valid_until": NOW,
        }
    )  # fmt: skip


def fact(seq: int, type_: str = "offer.open", body: bytes | None = None) -> bytes:
    return splice_seq(fact_template(type_, body if body is not None else offer_body()), seq)


def welcome(**changes: object) -> bytes:
    fields: dict[str, object] = {
        "sid": "s", "epoch": "e", "seq": 0, "server_time": NOW, "heartbeat_seconds": 25.0,
        "resume_window_seconds": 120.0, "limits": LIMITS,
    }  # fmt: skip
    return encode_server(driver.Welcome(**(fields | changes)))  # pyright: ignore[reportArgumentType]


def snapshot(seq: int = 0) -> bytes:
    return encode_server(driver.Snapshot(seq=seq, presence="online", routes=(), offers=()))


def accept(cmd: str) -> driver.OfferAccept:
    return driver.OfferAccept(cmd=cmd, offer_id=OFFER, offer_version=1)


def feed(session: ClientSession, *frames: bytes, now: float = 1.0, delay: float = 0.5) -> list[Effect]:
    return [effect for frame in frames for effect in session.received(frame, now, delay)]


def waited(session: ClientSession, *frames: bytes, now: float = 1.0) -> list[Effect]:
    """These frames, and then nothing for as long as one may wait for what belongs before it."""
    return feed(session, *frames, now=now) + session.tick(now + EARLY_SECONDS_MAX)


def sent(effects: Sequence[Effect]) -> list[object]:
    return [decode_client(effect.data) for effect in effects if isinstance(effect, SendFrame)]


def hello(session: ClientSession, now: float = 0.0) -> driver.Hello:
    message = decode_client(session.open(None, now))
    assert isinstance(message, driver.Hello)
    return message
