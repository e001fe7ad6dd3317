"""The checker of one phone's history: silent on a good one, and each broken promise turns it red."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from flexlive.lab.driver_history import DriverHistory
from flexlive.protocol.codec import decode_server
from flexlive.protocol.driver import OfferAccept, PresenceSet

OFFER, ROUTE, DELIVERY = (UUID(int=n) for n in (1, 2, 3))
NOW = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
SESSION = {
    "sid": "s",
    "epoch": "e",
    "server_time": NOW,
    "heartbeat_seconds": 25,
    "resume_window_seconds": 120,
    "limits": {
        "frame_bytes_max": 1,
        "points_max": 1,
        "commands_burst_per_second": 1,
        "commands_per_minute": 1,
        "ack_delay_seconds_max": 1,
    },
}


def offer(version: int = 1) -> dict[str, Any]:
    return {
        "offer_id": str(OFFER),
        "offer_version": version,
        "offer_type": "retail_delivery",
        "shape": "on_demand",
        "site": {"id": str(OFFER), "kind": "mall", "name": "m", "entrance": {"name": "e", "lat": 1, "lon": 1}},
        "stores": [],
        "delivery_count": 1,
        "package_count": 1,
        "pay": {"base_cents": 1, "tip_cents": 0, "wait_rate_cents_per_minute": 0, "currency": "USD"},
        "estimate": {"drive_seconds": 1, "walk_seconds": 1, "wait_seconds": 1, "distance_m": 1},
        "dropoff_cells": [],
        "rule": "first",
        "opened_at": NOW,
        "valid_until": NOW,
    }


class Phone:
    """A history fed with frames in short."""

    def __init__(self) -> None:
        self.history = DriverHistory("phone")

    def got(self, type_: str, **fields: Any) -> Phone:
        raw = msgspec.json.encode({"type": type_, **fields})
        message = decode_server(raw)
        assert type(message).__module__.endswith("server_frames"), message
        self.history.received(message, raw)  # type: ignore[arg-type]
        return self

    def welcome(self, seq: int = 0, **fields: Any) -> Phone:
        self.got("welcome", seq=seq, **SESSION, **fields)
        return self.got("snapshot", seq=seq, presence="online", routes=[], offers=[])

    def opens(self, seq: int, version: int = 1, type_: str = "offer.open") -> Phone:
        return self.got(type_, seq=seq, **offer(version))

    def gone(self, seq: int, reason: str = "taken") -> Phone:
        return self.got("offer.gone", seq=seq, offer_id=str(OFFER), reason=reason)

    def route(self, seq: int, version: int = 1) -> Phone:
        body = {"route_id": str(ROUTE), "version": version, "status": "active", "offer_id": str(OFFER), "stops": []}
        return self.got("route.update", seq=seq, **body)

    def delivery(self, seq: int, version: int) -> Phone:
        body = {"delivery_id": str(DELIVERY), "status": "confirmed", "readiness": "ready", "version": version}
        return self.got("delivery.update", seq=seq, **body)

    def accepts(self, cmd: str = "c1") -> Phone:
        self.history.sent(OfferAccept(cmd=cmd, offer_id=OFFER, offer_version=1))
        return self

    def result(self, cmd: str = "c1", code: str = "won") -> Phone:
        return self.got("result", cmd=cmd, ok=code in ("ok", "won"), code=code)

    def resumed(self, from_: int, to: int, **fields: Any) -> Phone:
        return self.got("resumed", **{"from": from_}, to=to, **fields)


def a_good_day() -> Phone:
    phone = Phone().welcome(seq=3).opens(4).opens(5, 2, "offer.update").accepts().route(6).result()
    phone.delivery(7, 2).delivery(8, 3).resumed(8, 10).route(9, 2).got("skip", seq=10).got("live")
    return phone.got("heartbeat").route(11, 3)


def test_a_good_history_breaks_nothing() -> None:
    history = a_good_day().history
    history.finish()
    assert history.violations == []
    assert history.facts == 8


def test_a_new_session_starts_its_own_count() -> None:
    phone = a_good_day()
    phone.got("reset", seq=0, reason="too_old", **SESSION).got(
        "snapshot", seq=0, presence="online", routes=[], offers=[offer(2)]
    )
    assert phone.opens(1, 2).history.violations == []


@pytest.mark.parametrize(
    ("phone", "said"),
    [
        (Phone().welcome().opens(2), "fact seq 2 after 0"),
        (Phone().welcome().opens(1).opens(1), "fact seq 1 after 1"),
        (Phone().opens(1), "fact before welcome"),
        (Phone().welcome().opens(1).resumed(0, 1), "resumed from seq 0, but the phone was at 1"),
        (Phone().welcome().resumed(0, 2).opens(1).got("live"), "live at seq 1, but the replay was announced up to 2"),
        (Phone().welcome().opens(1).gone(2).opens(3), "version 1 came back (fact) after it was gone"),
        (Phone().welcome().opens(1, 2).opens(2, 1, "offer.update"), "went from version 2 to 1"),
        (Phone().welcome().accepts().result().gone(1), "was won here, then gone as taken"),
        (Phone().welcome().route(1, 2).route(2, 1), "route 00000000-0000-0000-0000-000000000002 went from"),
        (Phone().welcome().delivery(1, 5).delivery(2, 4), "went from version 5 to 4"),
        (Phone().welcome().result("ghost", "ok"), "result for a command never sent: ghost"),
        (Phone().welcome().accepts().result().result(code="taken"), "second, different answer: taken"),
        (
            Phone().welcome().got("snapshot", seq=9, presence="online", routes=[], offers=[]),
            "snapshot speaks of seq 9, the phone has only 0",
        ),
    ],
)
def test_each_broken_promise_is_seen(phone: Phone, said: str) -> None:
    assert phone.history.violation_count >= 1
    assert any(said in text for text in phone.history.violations), phone.history.violations


def test_a_dead_offer_in_a_snapshot_is_seen() -> None:
    phone = Phone().welcome().opens(1).gone(2)
    phone.got("snapshot", seq=2, presence="online", routes=[], offers=[offer()])
    assert "came back (snapshot)" in phone.history.violations[0]


def test_a_newer_version_may_follow_a_gone_one() -> None:
    assert Phone().welcome().opens(1).gone(2).opens(3, 2).history.violations == []


def test_the_same_answer_twice_is_fine_and_must_be_the_same_bytes() -> None:
    phone = Phone().welcome().accepts().result(code="taken").result(code="taken")
    assert phone.history.violations == []
    phone.got("result", cmd="c1", ok=False, code="taken", retry_after_ms=1)
    assert phone.history.violation_count == 1


def test_a_stored_answer_in_welcome_counts_as_the_answer() -> None:
    phone = Phone().welcome().accepts()
    phone.welcome(results=[{"type": "result", "cmd": "c1", "ok": False, "code": "taken"}])
    phone.history.finish()
    assert phone.history.violations == []


def test_rate_limited_is_no_answer() -> None:
    phone = Phone().welcome().accepts().result(code="rate_limited")
    phone.history.finish()
    assert "never answered" in phone.history.violations[0]
    assert Phone().welcome().accepts().result(code="rate_limited").result().route(1).history.violations == []


def test_a_command_without_an_answer_is_seen_at_the_end() -> None:
    phone = Phone().welcome().accepts()
    assert phone.history.violations == []
    phone.history.finish()
    assert "c1 (OfferAccept) was never answered" in phone.history.violations[0]


def test_a_win_without_a_route_is_seen_at_the_end() -> None:
    phone = Phone().welcome().accepts().result()
    phone.history.finish()
    assert "was won and no route ever came" in phone.history.violations[0]


def test_one_cmd_for_two_commands_is_seen() -> None:
    phone = Phone().welcome().accepts()
    phone.history.sent(PresenceSet(cmd="c1", mode="online"))
    assert "two different commands" in phone.history.violations[0]


def test_words_are_bounded_and_counts_are_not() -> None:
    phone = Phone().welcome()
    for _ in range(100):
        phone.opens(1)
    assert phone.history.violation_count == 99
    assert len(phone.history.violations) <= 20
