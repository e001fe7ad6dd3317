"""Notices to a market's drivers, over HTTP. Operators only."""

from __future__ import annotations

from litestar import Router, get, post
from litestar.params import JSONBody

from flexlive.domain.errors import ErrorCode as E
from flexlive.protocol import ops_market as wire
from flexlive.services import notices
from flexlive.web.auth import require_ops
from flexlive.web.body import PROVISIONING_BYTES_MAX, JsonBody
from flexlive.web.dependencies import Ctx, IdPath, MarketPath, Ops, ops_dependency
from flexlive.web.errors import problems
from flexlive.web.market_api import COMMON

_ONE = problems((*COMMON, E.MARKET_UNKNOWN, E.NOT_FOUND))


@post(
    "/notices",
    dto=JsonBody[wire.CreateNotice],
    return_dto=None,
    operation_id="createNotice",
    responses=problems((*COMMON, E.MARKET_UNKNOWN, E.NOT_FOUND, E.TOO_LARGE, E.EXPIRED)),
)
async def create_notice(ctx: Ctx, ops: Ops, market_id: MarketPath, data: JSONBody[wire.CreateNotice]) -> wire.Notice:
    """Send a text to a market's drivers. Open apps get it at once, the others when they connect."""
    return await notices.create(ctx, ops, market_id, data)


@get("/notices", operation_id="listNotices", responses=problems((*COMMON, E.MARKET_UNKNOWN)))
async def list_notices(ctx: Ctx, market_id: MarketPath) -> list[wire.Notice]:
    """The last 200, newest first."""
    return await notices.latest(ctx, market_id)


@get("/notices/{notice_id:uuid}", operation_id="getNotice", responses=_ONE)
async def get_notice(ctx: Ctx, market_id: MarketPath, notice_id: IdPath) -> wire.Notice:
    return await notices.get(ctx, market_id, notice_id)


@post(
    "/notices/{notice_id:uuid}/send",
    status_code=200,
    operation_id="sendNotice",
    responses=problems((*COMMON, E.MARKET_UNKNOWN, E.NOT_FOUND, E.EXPIRED)),
)
async def send_notice(ctx: Ctx, market_id: MarketPath, notice_id: IdPath) -> wire.Notice:
    """Send it to everyone of its audience who has not got it, also who joined since."""
    return await notices.send(ctx, market_id, notice_id)


@get("/notices/{notice_id:uuid}/funnel", operation_id="getNoticeFunnel", responses=_ONE)
async def get_funnel(ctx: Ctx, market_id: MarketPath, notice_id: IdPath) -> wire.Funnel:
    """Sent, seen, opted in, first offer won."""
    return await notices.funnel(ctx, market_id, notice_id)


router = Router(
    path="/v1/ops/markets/{market_id:str}",
    route_handlers=[create_notice, list_notices, get_notice, send_notice, get_funnel],
    guards=[require_ops],
    dependencies=ops_dependency,
    request_max_body_size=PROVISIONING_BYTES_MAX,
    security=[{"ops": []}],
    tags=["notices"],
)
