"""The parts of the customer's page as HTML, each "" when there is nothing to say. Text from outside is escaped here."""

from __future__ import annotations

from datetime import datetime
from html import escape
from typing import Final

from flexlive.domain.deliveries import DeliveryStatus as S
from flexlive.domain.sites import zone
from flexlive.protocol.customer import INSTRUCTIONS_CHARS_MAX, TrackState
from flexlive.web import static_files, track_words
from flexlive.web.basemap import Basemap

_STEPS: Final = ("Ordered", "Pickup", "On the way", "Delivered")
_STEP_OF: Final = {
    S.CREATED: 1, S.CONFIRMED: 2, S.ENROUTE_TO_PICKUP: 2, S.ARRIVED_AT_PICKUP: 2, S.PICKED_UP: 3,
    S.ENROUTE_TO_DROPOFF: 3, S.ARRIVED_AT_DROPOFF: 3, S.DELIVERED: 4,
}  # fmt: skip


def hero(state: TrackState, now: datetime) -> str:
    """Where it stands and until when, readable from across the room."""
    said = "".join(f"<p>{escape(each)}</p>" for each in track_words.sentences(state))
    return (
        f'<header class="hero {track_words.tone(S(state.status))}"><p class="brand">{escape(state.fulfilled_by)}</p>'
        f"<h1>{escape(track_words.headline(state))}</h1>{_when(state, now)}{said}{_progress(S(state.status))}</header>"
    )


def _when(state: TrackState, now: datetime) -> str:
    if state.status == S.ARRIVED_AT_DROPOFF or state.status in _NO_ARRIVAL:
        return ""
    if state.terminal:
        return f'<p class="when">{_day_and_clock(state.status_at, state.time_zone, now)}</p>'
    if state.eta is not None:
        told = "Any minute now" if state.courier_imminent else _span(state.eta.from_at, state.eta.until_at, state)
        return f'<p class="when" id="eta">{told}</p>'
    by = _day_and_clock(state.window.deadline_at, state.time_zone, now)
    ready = state.window.ready_at
    if ready is not None and ready > now and state.status != S.ENROUTE_TO_DROPOFF:
        # Someone who is to be home for it wants to know from when.
        return f'<p class="when">{_span(ready, state.window.deadline_at, state, now)}</p>'
    return f'<p class="when" id="eta">By {by}</p>'


_NO_ARRIVAL: Final = frozenset({S.UNDELIVERABLE, S.ENROUTE_TO_RETURN, S.ARRIVED_AT_RETURN})


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


def pin(state: TrackState) -> str:
    if state.pincode is None:
        return ""
    digits = escape(state.pincode)
    return (
        f'<section class="pin"><h2>Your PIN</h2><p class="digits">{digits}</p>'
        '<p class="note">Tell it to the driver only at the door.</p></section>'
    )


def courier(state: TrackState, basemap: Basemap) -> str:
    """Who brings it, and the map's place; the map itself is the script's and comes later or never."""
    if state.courier is None:
        return ""
    name = escape(state.courier.first_name)
    does = "is at your door" if state.status == S.ARRIVED_AT_DROPOFF else "is bringing your order"
    cell = escape(state.courier.cell or "")
    return (
        f'<section class="courier"><div id="map" hidden role="img" aria-label="Map: your door and the area the driver '
        f'is in" data-lat="{state.door.lat:.6f}" data-lon="{state.door.lon:.6f}" data-cell="{cell}" '
        f'data-basemap="{basemap.kind}" data-basemap-url="{escape(basemap.url)}" '
        f'data-maplibre="{static_files.vendored_url("maplibre-gl.mjs")}" '
        f'data-maplibre-css="{static_files.vendored_url("maplibre-gl.css")}" '
        f'data-h3="{static_files.vendored_url("h3-js.umd.js")}" '
        f'data-pmtiles="{static_files.vendored_url("pmtiles.js")}"></div>'
        f'<p class="who"><span class="initial" aria-hidden="true">{escape(state.courier.first_name[:1])}</span>'
        f"<span><strong>{name}</strong> {does}.</span></p></section>"
    )


def instructions(state: TrackState, token: str) -> str:
    """What the driver reads at the door. The button is the script's: without it nothing promises what it cannot do."""
    text = escape(state.dropoff_instructions)
    still_read = text and state.status == S.ARRIVED_AT_DROPOFF
    if not state.instructions_editable and not still_read:
        return ""
    shown = f'<p class="text">{text}</p>' if text else '<p class="text note">None yet.</p>'
    if not state.instructions_editable:
        return f'<section id="instructions"><h2>For the driver</h2>{shown}</section>'
    return (
        f'<section id="instructions" data-put="/v1/track/{escape(token)}/instructions"><h2>For the driver</h2>{shown}'
        '<button type="button" class="edit" hidden>Change</button>'
        '<form hidden><label for="text">Where to go, where to leave it</label>'
        f'<textarea id="text" rows="3" maxlength="{INSTRUCTIONS_CHARS_MAX}">{text}</textarea>'
        '<p class="problem" role="alert" hidden></p>'
        '<p class="buttons"><button type="submit">Save</button><button type="reset" class="plain">Cancel</button></p>'
        "</form></section>"
    )


def timeline(state: TrackState, now: datetime) -> str:
    entries: list[str] = []
    created = 0
    for entry in state.timeline:
        created += entry.status == S.CREATED
        again = entry.status == S.CREATED and created > 1
        name = track_words.ANOTHER_DRIVER if again else track_words.HEADLINES[S(entry.status)]
        at = _day_and_clock(datetime.fromisoformat(entry.at), state.time_zone, now)
        entries.append(f'<li><span>{name}</span><time datetime="{escape(entry.at)}">{at}</time></li>')
    return f'<section><h2>Progress</h2><ol class="timeline">{"".join(reversed(entries))}</ol></section>'


def details(state: TrackState) -> str:
    address = ", ".join(part for part in (state.dropoff_address, state.dropoff_unit) if part)
    rows = [
        ("Order", state.external_delivery_id),
        ("From", state.store_name),
        ("Packages", str(state.package_count)),
        ("To", address),
        ("Received by", state.recipient),
        ("Left", state.left_at),
    ]
    items = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in rows if text)
    return f"<section><h2>Details</h2><dl>{items}</dl></section>"


def _clock(at: datetime) -> str:
    return at.strftime("%I:%M %p").lstrip("0")


def _day_and_clock(at: datetime, time_zone: str, now: datetime) -> str:
    """The market's time; with the day unless it is today's there."""
    place = zone(time_zone)
    local, today = at.astimezone(place), now.astimezone(place).date()
    day = "" if local.date() == today else f"{local:%a} {local.day} {local:%b}, "
    return escape(f"{day}{_clock(local)}")


def _span(start: datetime, end: datetime, state: TrackState, now: datetime | None = None) -> str:
    place = zone(state.time_zone)
    first, last = start.astimezone(place), end.astimezone(place)
    day = "" if now is None or first.date() == now.astimezone(place).date() else f"{first:%a} {first.day} {first:%b}, "
    return escape(f"{day}{_clock(first)} – {_clock(last)}")
