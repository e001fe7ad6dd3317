"""The customer's page as HTML. Complete without JavaScript; the script only fetches it again when something happens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files
from typing import Final

from flexlive.domain.deliveries import DeliveryStatus as S
from flexlive.domain.sites import zone
from flexlive.protocol.customer import Courier, TrackState

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_MEDIA_TYPES: Final = {"track.css": "text/css", "track.js": "text/javascript", "track.svg": "image/svg+xml"}

_HEADLINES: Final = {
    S.CREATED: "Order received",
    S.CONFIRMED: "A driver is assigned",
    S.ENROUTE_TO_PICKUP: "Driver is on the way to the store",
    S.ARRIVED_AT_PICKUP: "Driver is at the store",
    S.PICKED_UP: "Picked up",
    S.ENROUTE_TO_DROPOFF: "On the way to you",
    S.ARRIVED_AT_DROPOFF: "Your driver is here",
    S.DELIVERED: "Delivered",
    S.UNDELIVERABLE: "Delivery attempted",
    S.ENROUTE_TO_RETURN: "Going back to the store",
    S.ARRIVED_AT_RETURN: "Going back to the store",
    S.RETURNED: "Returned to the store",
    S.DISPOSED: "Could not be delivered",
    S.CANCELLED: "Cancelled",
    S.LOST: "Could not be delivered",
}
_STEPS: Final = ("Ordered", "Pickup", "On the way", "Delivered")
_STEP_OF: Final = {
    S.CREATED: 1, S.CONFIRMED: 2, S.ENROUTE_TO_PICKUP: 2, S.ARRIVED_AT_PICKUP: 2, S.PICKED_UP: 3,
    S.ENROUTE_TO_DROPOFF: 3, S.ARRIVED_AT_DROPOFF: 3, S.DELIVERED: 4,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class StaticFile:
    content: bytes
    media_type: str
    etag: str


@cache
def static_file(name: str) -> StaticFile | None:
    """A file of web/static by its exact name; None for every other name."""
    media_type = _MEDIA_TYPES.get(name)
    if media_type is None:
        return None
    content = files("flexlive.web").joinpath("static", name).read_bytes()
    return StaticFile(content, media_type, f'"{sha256(content).hexdigest()[:16]}"')


def render(state: TrackState, token: str) -> str:
    """The page for a live link. Every text from the outside is escaped."""
    status = S(state.status)
    body = [
        f'<main id="track" data-events="/v1/track/{escape(token)}/events" data-seq="{state.seq}"',
        f' data-terminal="{str(state.terminal).lower()}">',
        f'<p class="brand">{escape(state.fulfilled_by)}</p>',
        f"<h1>{_HEADLINES[status]}</h1>",
        _arrival(state),
        _progress(status),
        _courier(state.courier, state.courier_imminent),
        _pin(state.pincode),
        _timeline(state),
        _details(state),
        '<p id="connection" class="note" role="status" hidden>Reconnecting…</p>',
        "</main>",
    ]
    return _document(_HEADLINES[status], "\n".join(part for part in body if part))


def render_gone() -> str:
    """What an unknown, expired or revoked link shows."""
    return _document(
        "Link not valid",
        '<main id="track" data-terminal="true"><h1>This link is not valid</h1>'
        "<p>It may have expired. The shop you ordered from can send you a new one.</p></main>",
    )


def _document(title: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex, nofollow">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<link rel="icon" type="image/svg+xml" href="/static/track.svg">
<link rel="stylesheet" href="/static/track.css">
<script src="/static/track.js" defer></script>
</head>
<body>
{body}
</body>
</html>
"""


def _arrival(state: TrackState) -> str:
    if state.terminal:
        return f'<p class="when">{_clock(state.status_at, state.time_zone)}</p>'
    by = f'<p class="when">Arrives by <strong>{_clock(state.window.deadline_at, state.time_zone)}</strong></p>'
    return by + '<p id="eta" class="note" hidden></p>'


def _progress(status: S) -> str:
    reached = _STEP_OF.get(status)
    if reached is None:
        return ""
    items = "".join(
        f'<li class="{"done" if place <= reached else "open"}"{_current(place == reached)}>{name}</li>'
        for place, name in enumerate(_STEPS, start=1)
    )
    return f'<ol class="steps">{items}</ol>'


def _current(here: bool) -> str:
    return ' aria-current="step"' if here else ""


def _courier(courier: Courier | None, imminent: bool) -> str:
    if courier is None:
        return ""
    near = " and almost there" if imminent else ""
    return f'<p class="courier"><strong>{escape(courier.first_name)}</strong> is bringing your order{near}.</p>'


def _pin(pincode: str | None) -> str:
    if pincode is None:
        return ""
    shown = f'<p>{escape(pincode)}</p><p class="note">Tell it at the door.</p>'
    return f'<section class="pin"><h2>Your PIN</h2>{shown}</section>'


def _timeline(state: TrackState) -> str:
    entries = "".join(
        f'<li><time datetime="{escape(entry.at)}">{_clock(datetime.fromisoformat(entry.at), state.time_zone)}</time>'
        f"<span>{_HEADLINES[S(entry.status)]}</span></li>"
        for entry in reversed(state.timeline)
    )
    return f'<section><h2>Progress</h2><ol class="timeline">{entries}</ol></section>'


def _details(state: TrackState) -> str:
    packages = "1 package" if state.package_count == 1 else f"{state.package_count} packages"
    address = ", ".join(part for part in (state.dropoff_address, state.dropoff_unit) if part)
    rows = [
        ("Order", state.external_delivery_id),
        ("From", f"{state.store_name}, {packages}"),
        ("To", address),
        ("Instructions", state.dropoff_instructions),
    ]
    items = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in rows if text)
    return f"<section><h2>Details</h2><dl>{items}</dl></section>"


def _clock(at: datetime, time_zone: str) -> str:
    local = at.astimezone(zone(time_zone))
    return escape(f"{local:%a} {local.day} {local:%b}, {local.strftime('%I:%M %p').lstrip('0')}")
