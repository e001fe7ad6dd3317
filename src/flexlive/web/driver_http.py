"""What a driver's app asks over HTTP instead of its socket."""

from __future__ import annotations

from typing import Any

from litestar import Request, Router, post

from flexlive.domain.errors import ErrorCode as E
from flexlive.protocol.driver_http import Ticket
from flexlive.services import tokens
from flexlive.web.auth import authenticate_driver
from flexlive.web.dependencies import Ctx
from flexlive.web.errors import problems


@post(
    "/v1/driver/ticket",
    operation_id="issueTicket",
    responses=problems((E.UNAUTHORIZED, E.TOKEN_EXPIRED, E.DEACTIVATED, E.RATE_LIMITED, E.DATABASE_UNAVAILABLE)),
)
async def issue_ticket(ctx: Ctx, request: Request[Any, Any, Any]) -> Ticket:
    """A single-use ticket for `/v1/driver?ticket=…`, for browsers, which cannot send a header with a WebSocket."""
    driver = await authenticate_driver(ctx, request)
    issued = await tokens.issue_ticket(ctx, driver.market_id, driver.driver_id, driver.family_id)
    return Ticket(ticket=issued.token, expires_at=issued.expires_at)


router = Router(path="/", route_handlers=[issue_ticket], security=[{"driver": []}], tags=["driver"])
