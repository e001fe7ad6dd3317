"""Where a driver's app can be rung while it sleeps."""

from __future__ import annotations

from typing import Annotated

from litestar import Router, delete, get, put
from litestar.params import JSONBody, QueryParameter

from flexlive.domain.errors import ErrorCode as E
from flexlive.protocol import push_targets as wire
from flexlive.services import push_targets
from flexlive.web.auth import driver_of, require_driver
from flexlive.web.body import JsonBody
from flexlive.web.dependencies import Ctx, Providers
from flexlive.web.errors import AnyRequest, problems

TARGET_BYTES_MAX = 4 * 1024
_COMMON = (E.UNAUTHORIZED, E.TOKEN_EXPIRED, E.DEACTIVATED, E.RATE_LIMITED, E.DATABASE_UNAVAILABLE)
DeviceQuery = Annotated[
    str, QueryParameter(min_length=1, max_length=64, pattern=r"^[!-~]+(?![\s\S])", description="as in `hello`")
]


@put(
    "/v1/driver/push-target",
    dto=JsonBody[wire.PutPushTarget],
    return_dto=None,
    status_code=200,
    request_max_body_size=TARGET_BYTES_MAX,
    operation_id="putPushTarget",
    responses=problems((*_COMMON, E.INVALID, E.TOO_LARGE, E.OUTCOME_UNKNOWN)),
)
async def put_push_target(
    ctx: Ctx, providers: Providers, request: AnyRequest, data: JSONBody[wire.PutPushTarget]
) -> wire.PushTarget:
    """Ring this device there from now on, in place of where it was before. A phone has one owner: the last to do so."""
    return await push_targets.put(ctx, providers, driver_of(request), data)


@delete(
    "/v1/driver/push-target",
    status_code=204,
    operation_id="deletePushTarget",
    responses=problems((*_COMMON, E.INVALID)),
)
async def delete_push_target(ctx: Ctx, request: AnyRequest, device_id: DeviceQuery) -> None:
    """Do not ring this device any more. Safe to repeat."""
    await push_targets.delete(ctx, driver_of(request), device_id)


@get("/v1/driver/push-target", operation_id="getPushTargets", responses=problems(_COMMON))
async def get_push_targets(ctx: Ctx, providers: Providers, request: AnyRequest) -> wire.PushTargets:
    """This driver's devices, and what an app needs to register one."""
    return await push_targets.of_driver(ctx, providers, driver_of(request))


router = Router(
    path="/",
    route_handlers=[put_push_target, delete_push_target, get_push_targets],
    guards=[require_driver],
    security=[{"driver": []}],
    tags=["driver"],
)
