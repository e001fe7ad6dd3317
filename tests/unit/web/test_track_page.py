"""The customer's page as text: every status has words, everything from outside is escaped."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from flexlive.domain.deliveries import TERMINAL, DeliveryStatus
from flexlive.domain.reasons import ReasonCode
from flexlive.protocol.customer import Arrival, Courier, DeliveryWindow, Door, TimelineEntry, TrackState
from flexlive.web import basemap, track_page, track_words

AT = datetime(2026, 11, 20, 20, 5, tzinfo=UTC)
BEFORE = datetime(2026, 11, 19, 20, 5, tzinfo=UTC)
EVIL = "<script>alert(1)</script>\"'"


def state(**changes: Any) -> TrackState:
    plain = TrackState(
        epoch="e" * 32, seq=3, status="picked_up", status_at=AT, readiness="handed_over", terminal=False,
        external_delivery_id="A-1", fulfilled_by="Shop", store_name="Counter", service_level="express",
        package_count=1, window=DeliveryWindow(None, AT), time_zone="America/Phoenix", dropoff_address="1 Elm St",
        dropoff_unit="4", dropoff_instructions="", instructions_editable=False, door=Door(36.1, -115.2),
        courier_imminent=False, courier=None, eta=None, pincode=None, recipient=None, left_at=None, reason_code=None,
        timeline=(TimelineEntry("created", "2026-11-20T20:00:00Z"),),
    )  # fmt: skip
    return msgspec.structs.replace(plain, **changes)


def page(now: datetime = BEFORE, **changes: Any) -> str:
    return track_page.render(state(**changes), "token", now)


@pytest.mark.parametrize("status", list(DeliveryStatus))
def test_every_status_has_a_headline_and_a_sentence(status: DeliveryStatus) -> None:
    shown = page(status=status.value, terminal=status in TERMINAL)
    assert f"<h1>{track_words.HEADLINES[status]}</h1>" in shown
    assert f'data-terminal="{str(status in TERMINAL).lower()}"' in shown
    [said, *_] = track_words.sentences(state(status=status.value, readiness="pending"))
    assert said.endswith((".", "!"))
    assert "{" not in said


@pytest.mark.parametrize("reason", list(ReasonCode))
@pytest.mark.parametrize("status", ["cancelled", "undeliverable", "returned"])
def test_a_reason_is_told_in_words_or_not_at_all(status: str, reason: ReasonCode) -> None:
    shown = page(status=status, terminal=status != "undeliverable", reason_code=reason.value)
    assert not re.search(rf">[^<]*\b{reason.value}\b(?! (delivery|order))", shown)


def test_why_a_delivery_failed_and_whom_to_ask() -> None:
    shown = page(status="cancelled", terminal=True, reason_code="no_driver_found")
    assert "No driver was free to bring it in time." in shown
    assert "Please ask Shop" in shown


def test_text_from_outside_is_only_text() -> None:
    shown = track_page.render(
        state(
            status="enroute_to_dropoff",
            external_delivery_id=EVIL,
            fulfilled_by=EVIL,
            store_name=EVIL,
            dropoff_address=EVIL,
            dropoff_unit=EVIL,
            dropoff_instructions=EVIL,
            instructions_editable=True,
            pincode=EVIL,
            recipient=EVIL,
            left_at=EVIL,
            courier=Courier(EVIL, EVIL),
        ),
        EVIL,
        BEFORE,
        basemap=basemap.Basemap("style", EVIL),
    )
    assert "<script>alert" not in shown
    assert shown.count("<script") == 1
    assert EVIL not in shown
    assert EVIL not in page(status="delivered", terminal=True, left_at=EVIL)


def test_times_are_those_of_the_market_and_name_the_day_unless_it_is_today() -> None:
    assert "By Fri 20 Nov, 1:05 PM" in page()  # Arizona keeps no daylight-saving time
    today = page(now=AT)
    assert "By 1:05 PM" in today
    assert "1:00 PM" in today


def test_a_window_in_the_future_is_told_from_its_beginning() -> None:
    window = DeliveryWindow(AT, AT.replace(hour=23))
    assert "Fri 20 Nov, 1:05 PM – 4:05 PM" in page(status="created", window=window)
    assert "By 4:05 PM" in page(now=AT.replace(hour=21), status="created", window=window)


def test_an_expected_arrival_is_told_as_a_window_and_then_as_any_minute() -> None:
    eta = Arrival(AT, AT, AT.replace(minute=12))
    leg: dict[str, Any] = {"status": "enroute_to_dropoff", "courier": Courier("Zoltan", "892644d0bb7ffff"), "eta": eta}
    assert "1:05 PM – 1:12 PM" in page(**leg)
    near = page(**leg, courier_imminent=True)
    assert "<h1>Almost there</h1>" in near
    assert "Any minute now" in near


def test_a_driver_a_map_and_a_pin_show_only_when_they_are_in_the_state() -> None:
    plain = page()
    for nothing in ("bringing", "PIN", 'id="map"', "vendor"):
        assert nothing not in plain
    near = page(status="arrived_at_dropoff", courier=Courier("Zoltan"), pincode="0042")
    assert "<strong>Zoltan</strong> is at your door" in near
    assert "0042" in near


def test_who_took_it_or_where_it_was_left() -> None:
    assert "Received by Ana" in page(status="delivered", terminal=True, recipient="Ana")
    assert "Left for you: behind the bin" in page(status="delivered", terminal=True, left_at="behind the bin")


def test_a_delivery_whose_driver_gave_it_back_is_not_new() -> None:
    twice = tuple(TimelineEntry(each, "2026-11-20T20:00:00Z") for each in ("created", "confirmed", "created"))
    shown = page(status="created", readiness="pending", timeline=twice)
    assert f"<h1>{track_words.ANOTHER_DRIVER}</h1>" in shown
    assert shown.count("Order received") == 1


def test_instructions_are_offered_for_change_only_while_they_may_be() -> None:
    assert 'data-put="/v1/track/token/instructions"' in page(instructions_editable=True)
    fixed = page(status="arrived_at_dropoff", dropoff_instructions="Ring twice")
    assert "Ring twice" in fixed
    assert "<form" not in fixed
    assert "For the driver" not in page(status="delivered", terminal=True, dropoff_instructions="Ring twice")


def test_the_page_needs_nobody_else() -> None:
    leg = page(status="enroute_to_dropoff", courier=Courier("Zoltan"), instructions_editable=True)
    for shown in (page(), leg, track_page.render_gone(), track_page.render_unavailable()):
        assert "http://" not in shown
        assert "https://" not in shown
        assert " style=" not in shown
        assert not re.search(r"<[^>]* on[a-z]+=", shown)


def test_the_policy_names_the_one_host_of_a_style_and_no_other() -> None:
    plain = track_page.content_security_policy()
    assert "unsafe" not in plain
    assert "http" not in plain
    styled = track_page.content_security_policy(basemap.parse("https://tiles.example.com:8443/style.json?key=1"))
    assert styled.count("https://tiles.example.com:8443") == 2
    assert "style.json" not in styled
