"""A driver's login over HTTP. Nobody is authenticated here yet: the body says who asks, and proves it."""

from __future__ import annotations

from litestar import Router, post
from litestar.params import JSONBody

from flexlive.domain.errors import ErrorCode as E
from flexlive.protocol import driver_http as wire
from flexlive.services import account, login
from flexlive.web.auth import bearer
from flexlive.web.body import JsonBody
from flexlive.web.dependencies import Ctx, Desk
from flexlive.web.errors import AnyRequest, problems

LOGIN_BYTES_MAX = 4 * 1024
_COMMON = (E.INVALID, E.RATE_LIMITED, E.TOO_LARGE, E.DATABASE_UNAVAILABLE, E.OUTCOME_UNKNOWN)


@post(
    "/v1/driver/login/code",
    dto=JsonBody[wire.AskForCode],
    return_dto=None,
    status_code=202,
    request_max_body_size=LOGIN_BYTES_MAX,
    operation_id="askForLoginCode",
    responses=problems((*_COMMON, E.MARKET_UNKNOWN)),
)
async def ask_for_code(ctx: Ctx, desk: Desk, data: JSONBody[wire.AskForCode]) -> wire.CodeAsked:
    """Send a one-time code to a driver's phone. Every number is answered alike."""
    return await login.ask_for_code(ctx, desk, data)


@post(
    "/v1/driver/login",
    dto=JsonBody[wire.LogIn],
    return_dto=None,
    status_code=200,
    request_max_body_size=LOGIN_BYTES_MAX,
    operation_id="logIn",
    responses=problems((*_COMMON, E.WRONG_CODE, E.ATTEMPTS_EXHAUSTED, E.DEACTIVATED)),
)
async def log_in(ctx: Ctx, desk: Desk, data: JSONBody[wire.LogIn]) -> wire.DriverTokens:
    """The first tokens, for the code."""
    return await login.log_in(ctx, desk, data)


@post(
    "/v1/driver/refresh",
    dto=JsonBody[wire.Refresh],
    return_dto=None,
    status_code=200,
    request_max_body_size=LOGIN_BYTES_MAX,
    operation_id="refreshLogin",
    responses=problems((*_COMMON, E.UNAUTHORIZED, E.TOKEN_EXPIRED, E.DEACTIVATED)),
)
async def refresh(ctx: Ctx, desk: Desk, data: JSONBody[wire.Refresh]) -> wire.DriverTokens:
    """The next tokens, for a refresh token, once; a second use ends the login."""
    return await account.refresh(ctx, desk.options, data)


@post(
    "/v1/driver/logout",
    status_code=204,
    security=[{"driver": []}],
    operation_id="logOut",
    responses=problems((E.UNAUTHORIZED, E.RATE_LIMITED, E.DATABASE_UNAVAILABLE, E.OUTCOME_UNKNOWN)),
)
async def log_out(ctx: Ctx, request: AnyRequest) -> None:
    """End this login: its tokens at once, its sockets within 2 s. An access or refresh token, also an expired one."""
    await account.log_out(ctx, bearer(request))


router = Router(path="/", route_handlers=[ask_for_code, log_in, refresh, log_out], tags=["driver"])
