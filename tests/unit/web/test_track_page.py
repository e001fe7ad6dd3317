"""The customer's page as text: every status has words, everything from outside is escaped."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from flexlive.domain.deliveries import TERMINAL, DeliveryStatus
from flexlive.protocol.customer import Courier, DeliveryWindow, TimelineEntry, TrackState
from flexlive.web import track_page

AT = datetime(2026, 11, 20, 20, 5, tzinfo=UTC)


def state(**changes: Any) -> TrackState:
    plain = TrackState(
        epoch="e" * 32, seq=3, status="picked_up", status_at=AT, readiness="handed_over", terminal=False,
        external_delivery_id="A-1", fulfilled_by="Shop", store_name="Counter", service_level="express",
        package_count=1, window=DeliveryWindow(None, AT), time_zone="America/Phoenix", dropoff_address="1 Elm St",
        dropoff_unit="4", dropoff_instructions="", courier_imminent=False, courier=None, pincode=None,
        reason_code=None, timeline=(TimelineEntry("created", "2026-11-20T20:00:00Z"),),
    )  # fmt: skip
    return msgspec.structs.replace(plain, **changes)


@pytest.mark.parametrize("status", list(DeliveryStatus))
def test_every_status_has_a_page(status: DeliveryStatus) -> None:
    page = track_page.render(state(status=status.value, terminal=status in TERMINAL), "token")
    assert "<h1>" in page
    assert f'data-terminal="{str(status in TERMINAL).lower()}"' in page


def test_text_from_outside_is_only_text() -> None:
    evil = "<script>alert(1)</script>\"'"
    page = track_page.render(
        state(
            external_delivery_id=evil,
            fulfilled_by=evil,
            store_name=evil,
            dropoff_address=evil,
            dropoff_unit=evil,
            dropoff_instructions=evil,
            pincode=evil,
            courier=Courier(evil),
            timeline=(TimelineEntry("created", "2026-11-20T20:00:00Z"),),
        ),
        evil,
    )
    assert "<script>alert" not in page
    assert page.count("<script") == 1
    assert evil not in page


def test_times_are_those_of_the_market() -> None:
    page = track_page.render(state(), "token")
    assert "Fri 20 Nov, 1:05 PM" in page  # Arizona keeps no daylight-saving time
    assert "Fri 20 Nov, 1:00 PM" in page


def test_a_driver_and_a_pin_show_only_when_they_are_in_the_state() -> None:
    plain = track_page.render(state(), "token")
    assert "bringing" not in plain
    assert "PIN" not in plain
    near = track_page.render(
        state(status="enroute_to_dropoff", courier=Courier("Zoltan"), courier_imminent=True, pincode="0042"), "token"
    )
    assert "<strong>Zoltan</strong> is bringing your order and almost there" in near
    assert "0042" in near


def test_the_page_needs_nobody_else() -> None:
    page = track_page.render(state(), "token") + track_page.render_gone()
    assert "http://" not in page
    assert "https://" not in page
    assert " style=" not in page
    assert " on" not in page.replace(" on the way", "").replace(" one", "").split("</h1>")[0]


def test_only_the_pages_own_files_are_static() -> None:
    for name in ("track.css", "track.js", "track.svg"):
        assert track_page.static_file(name) is not None
    for name in ("", "track.html", "../track_page.py", "/etc/passwd", "track.css/"):
        assert track_page.static_file(name) is None
