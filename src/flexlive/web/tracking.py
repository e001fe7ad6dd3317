"""The customer's side: the state of a delivery as JSON, as a stream, and as a page. The link is the only key."""

from __future__ import annotations

from typing import Annotated, Final

from litestar import Response, Router, get, put
from litestar.params import HeaderParameter, JSONBody, PathParameter

from flexlive.domain.errors import ErrorCode as E
from flexlive.protocol import customer as wire
from flexlive.services import drop_off_instructions, tracking
from flexlive.web import errors, event_stream, track_page
from flexlive.web.body import JsonBody
from flexlive.web.dependencies import Ctx, FactHub, PageBasemap, Streams
from flexlive.web.errors import problems
from flexlive.web.event_stream import EventStream
from flexlive.web.track_stream import TrackStream

TrackToken = Annotated[str, PathParameter(max_length=200, description="the token of a tracking link")]
LastEventId = Annotated[
    str | None,
    HeaderParameter(name="last-event-id", max_length=200, description="`<epoch>-<seq>` of the last fact seen"),
]

INSTRUCTIONS_BYTES_MAX: Final = 8 * 1024
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


@put(
    "/v1/track/{token:str}/instructions",
    dto=JsonBody[wire.SetInstructions],
    return_dto=None,
    request_max_body_size=INSTRUCTIONS_BYTES_MAX,
    operation_id="setInstructions",
    responses=problems((*_ERRORS, E.TOO_LARGE, E.ILLEGAL_TRANSITION, E.OUTCOME_UNKNOWN)),
)
async def set_instructions(
    ctx: Ctx, token: TrackToken, data: JSONBody[wire.SetInstructions]
) -> Response[wire.InstructionsSet]:
    """What the driver is to read at the door; until the driver stands there. Repeating it changes nothing."""
    return Response(await drop_off_instructions.change(ctx, token, data.dropoff_instructions), headers=PRIVATE_HEADERS)


@get("/t/{token:str}", include_in_schema=False, media_type="text/html")
async def tracking_page(ctx: Ctx, streams: Streams, page_basemap: PageBasemap, token: TrackToken) -> Response[bytes]:
    """The page behind a tracking link; complete without JavaScript."""
    policy = track_page.content_security_policy(page_basemap)
    try:
        link = await tracking.open_link(ctx, token)
        state = tracking.state(ctx, link, await tracking.facts(ctx, link, 0))
    except Exception as error:
        match errors.refusal_of(error).code:
            case E.NOT_FOUND:
                return _page(track_page.render_gone(), 404, policy)
            case E.DATABASE_UNAVAILABLE | E.UNAVAILABLE:
                return _page(track_page.render_unavailable(), 503, policy)
            case _:
                raise
    heartbeat_seconds = streams.options.stream_heartbeat_seconds
    html = track_page.render(state, token, ctx.clock(), basemap=page_basemap, heartbeat_seconds=heartbeat_seconds)
    return _page(html, 200, policy)


def _page(html: str, status_code: int, policy: str) -> Response[bytes]:
    headers = {**PRIVATE_HEADERS, "content-security-policy": policy}
    return Response(html.encode(), media_type="text/html", status_code=status_code, headers=headers)


router = Router(
    path="/", route_handlers=[get_tracking, stream_tracking, set_instructions, tracking_page], tags=["customer"]
)
