"""The checker of one tracking page: silent on a good stream, and each broken promise turns it red."""

from __future__ import annotations

import msgspec
import pytest

from flexlive.lab.track_history import ServerSentEvent, TrackHistory

EPOCH = "0" * 31 + "1"
OTHER = "0" * 31 + "2"


def state(seq: int, status: str = "created", epoch: str = EPOCH) -> ServerSentEvent:
    body = {"epoch": epoch, "seq": seq, "status": status, "pincode": None}
    return ServerSentEvent("state", msgspec.json.encode(body).decode(), f"{epoch}-{seq}")


def position(seq: int, resumed: bool, epoch: str = EPOCH) -> ServerSentEvent:
    return ServerSentEvent("position", msgspec.json.encode({"epoch": epoch, "seq": seq, "resumed": resumed}).decode())


def fact(seq: int, status: str, epoch: str = EPOCH) -> ServerSentEvent:
    return ServerSentEvent("fact", msgspec.json.encode({"status": status}).decode(), f"{epoch}-{seq}")


def end(status: str) -> ServerSentEvent:
    return ServerSentEvent("end", msgspec.json.encode({"status": status}).decode())


def page(*events: ServerSentEvent) -> TrackHistory:
    history = TrackHistory("order-1")
    for event in events:
        history.received(event)
    return history


OPENING = (position(2, False), state(2))


def test_a_good_page_across_a_reconnect() -> None:
    history = page(*OPENING, fact(3, "confirmed"), ServerSentEvent("eta", "{}"))
    assert history.last_event_id == f"{EPOCH}-3"
    for event in (position(3, True), fact(4, "picked_up"), fact(5, "delivered"), end("delivered")):
        history.received(event)
    assert (history.violations, history.holes, history.facts, history.stated) == ([], 0, 3, 2)
    assert (history.status, history.ended, history.missing(5), history.missing(7)) == ("delivered", True, 0, 2)


def test_a_missing_fact_is_a_hole() -> None:
    history = page(*OPENING, fact(3, "confirmed"), fact(6, "picked_up"))
    assert (history.holes, history.violations) == (2, [])


def test_a_page_that_never_opened_misses_everything() -> None:
    assert page().missing(4) == 4
    assert page().last_event_id is None


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ((*OPENING, fact(3, "confirmed"), fact(3, "confirmed")), "came again or out of order"),
        ((*OPENING, fact(2, "created")), "came again or out of order"),
        ((*OPENING, fact(3, "confirmed", OTHER)), "fact confirmed with id"),
        ((fact(1, "created"),), "fact created with id"),
        ((*OPENING, ServerSentEvent("fact", '{"status":"x"}', None)), "with id None"),
        ((*OPENING, position(2, True, OTHER)), "epoch changed"),
        ((*OPENING, position(1, True)), "resumed at seq 1, but the page was at 2"),
        ((*OPENING, state(1)), "state went back from seq 2 to 1"),
        ((position(2, False), ServerSentEvent("state", state(2).data, f"{EPOCH}-9")), "carries id"),
        ((*OPENING, fact(3, "delivered"), fact(4, "confirmed")), "after terminal status delivered"),
        ((*OPENING, fact(3, "delivered"), end("delivered"), fact(4, "lost")), "fact after the end"),
        ((*OPENING, end("delivered")), "ended as delivered, but the last fact said created"),
        ((*OPENING, ServerSentEvent("eta", "{}", f"{EPOCH}-3")), "ephemeral event eta carries id"),
        ((*OPENING, ServerSentEvent("reset", '{"reason":"other_epoch"}')), "reset (other_epoch)"),
    ],
)
def test_each_broken_promise_is_seen(events: tuple[ServerSentEvent, ...], said: str) -> None:
    assert any(said in text for text in page(*events).violations), page(*events).violations
