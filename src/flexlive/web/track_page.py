"""The customer's page as HTML. Complete without JavaScript; the script fetches it again when something happens, and
adds the map and the editing."""

from __future__ import annotations

from datetime import datetime
from html import escape
from typing import Final

from flexlive.protocol.customer import TrackState
from flexlive.web import track_sections, track_words
from flexlive.web.basemap import Basemap

_BLANK: Final = Basemap()


def content_security_policy(basemap: Basemap = _BLANK) -> str:
    """Nothing but this server, and the one host of a basemap's style when there is one. Images may be inline: the
    map's library has its icons so."""
    foreign = f" {basemap.origin}" if basemap.origin else ""
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self'; worker-src 'self'; connect-src 'self'{foreign}; "
        f"img-src 'self' data: blob:{foreign}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def render(
    state: TrackState, token: str, now: datetime, *, basemap: Basemap = _BLANK, heartbeat_seconds: float = 15.0
) -> str:
    """The page for a live link. heartbeat_seconds: after some of them without a byte the script takes the stream for
    dead."""
    body = [
        f'<main id="track" data-events="/v1/track/{escape(token)}/events" data-position="{state.epoch}-{state.seq}"',
        f' data-terminal="{str(state.terminal).lower()}" data-time-zone="{escape(state.time_zone)}"',
        f' data-heartbeat-seconds="{heartbeat_seconds:g}">',
        track_sections.hero(state, now),
        track_sections.pin(state),
        track_sections.courier(state, basemap),
        track_sections.instructions(state, token),
        track_sections.timeline(state, now),
        track_sections.details(state),
        "</main>",
    ]
    return _document(track_words.headline(state), "\n".join(part for part in body if part))


def render_gone() -> str:
    """What an unknown, expired or revoked link shows."""
    return _document(
        "Link not valid",
        '<main id="track" data-terminal="true"><header class="hero over"><h1>This link is not valid</h1>'
        "<p>It may have expired, or been replaced. The shop you ordered from can send you a new one.</p>"
        "</header></main>",
    )


def render_unavailable() -> str:
    """What a live link may show while the service cannot look."""
    return _document(
        "One moment",
        '<main id="track" data-terminal="false"><header class="hero trouble"><h1>One moment, please</h1>'
        "<p>We cannot look at your order right now. Try again in a minute; your delivery goes on.</p></header></main>",
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
<meta name="format-detection" content="telephone=no">
<title>{escape(title)}</title>
<link rel="icon" type="image/svg+xml" href="/static/track.svg">
<link rel="stylesheet" href="/static/track.css">
<script type="module" src="/static/track.js"></script>
</head>
<body>
{body}
<p id="announce" role="status"></p>
<p id="connection" hidden>Reconnecting…</p>
</body>
</html>
"""
