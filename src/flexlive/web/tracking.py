"""The customer's side: the state of a delivery as JSON, as a stream, and as a plain page. The link is the only key."""

from __future__ import annotations

from typing import Annotated, Final

from litestar import Response, Router, get
from litestar.params import FromPath, HeaderParameter, PathParameter

from flexlive.domain.errors import ErrorCode as E
from flexlive.domain.errors import FlexliveError
from flexlive.protocol import customer as wire
from flexlive.services import tracking
from flexlive.web import event_stream, track_page
from flexlive.web.dependencies import Ctx, FactHub, Streams
from flexlive.web.errors import AnyRequest, problems
from flexlive.web.event_stream import EventStream
from flexlive.web.track_stream import TrackStream

TrackToken = Annotated[str, PathParameter(max_length=200, description="the token of a tracking link")]
LastEventId = Annotated[
    str | None,
    HeaderParameter(name="last-event-id", max_length=200, description="`<epoch>-<seq>` of the last fact seen"),
]

PRIVATE_HEADERS: Final = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex, nofollow",
    "x-content-type-options": "nosniff",
}
_ERRORS = (E.INVALID, E.NOT_FOUND, E.RATE_LIMITED, E.DATABASE_UNAVAILABLE, E.UNAVAILABLE)


@get("/v1/track/{token:str}", operation_id="getTracking", responses=problems(_ERRORS))
async def get_tracking(ctx: Ctx, token: TrackToken) -> Response[wire.TrackState]:
    """Where a delivery stands, for its customer."""
    link = await tracking.open_link(ctx, token)
    state = tracking.state(ctx, link, await tracking.facts(ctx, link, 0))
    return Response(state, headers=PRIVATE_HEADERS)


@get(
    "/v1/track/{token:str}/events",
    operation_id="streamTracking",
    media_type=event_stream.MEDIA_TYPE,
    responses=problems(_ERRORS),
)
async def stream_tracking(
    ctx: Ctx, hub: FactHub, streams: Streams, token: TrackToken, last_event_id: LastEventId = None
) -> EventStream:
    """The same, as it happens: `position`, then `state` or exactly the facts after Last-Event-ID, then live."""
    link = await tracking.open_link(ctx, token)
    await ctx.market_ready(link.market_id)
    stream = TrackStream(ctx, hub, streams, link, last_event_id)
    return EventStream(stream.events(), stream.close)


@get("/t/{token:str}", include_in_schema=False, media_type="text/html")
async def tracking_page(ctx: Ctx, token: TrackToken) -> Response[bytes]:
    """The page behind a tracking link; complete without JavaScript."""
    try:
        link = await tracking.open_link(ctx, token)
    except FlexliveError as error:
        return _page(track_page.render_gone(), error.entry.http_status)
    state = tracking.state(ctx, link, await tracking.facts(ctx, link, 0))
    return _page(track_page.render(state, token), 200)


@get("/static/{name:str}", include_in_schema=False)
async def static_file(request: AnyRequest, name: FromPath[str]) -> Response[bytes]:
    """The page's own style and script; nothing else is served."""
    found = track_page.static_file(name)
    if found is None:
        raise FlexliveError(E.NOT_FOUND)
    headers = {"cache-control": "public, max-age=300", "etag": found.etag, "x-content-type-options": "nosniff"}
    if request.headers.get("if-none-match") == found.etag:
        return Response(b"", status_code=304, media_type=found.media_type, headers=headers)
    return Response(found.content, media_type=found.media_type, headers=headers)


def _page(html: str, status_code: int) -> Response[bytes]:
    headers = {**PRIVATE_HEADERS, "content-security-policy": track_page.CONTENT_SECURITY_POLICY}
    return Response(html.encode(), media_type="text/html", status_code=status_code, headers=headers)


router = Router(path="/", route_handlers=[get_tracking, stream_tracking, tracking_page, static_file], tags=["customer"])
