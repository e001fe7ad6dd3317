"""Operators and drivers over HTTP: who may work, who is owed what, who is where."""

from __future__ import annotations

from litestar import Router, post
from litestar.params import JSONBody

from flexlive.protocol import ops_actions as wire
from flexlive.services import adjustments, overrides, suspensions
from flexlive.web.auth import require_ops
from flexlive.web.body import BODY_BYTES_MAX, JsonBody
from flexlive.web.dependencies import Ctx, IdPath, MarketPath, Ops, ops_dependency
from flexlive.web.ops_calls import ACTED, IdempotencyKey, call


@post(
    "/drivers/{driver_id:uuid}/suspend",
    dto=JsonBody[wire.Reasoned],
    return_dto=None,
    status_code=200,
    operation_id="suspendDriver",
    responses=ACTED,
)
async def suspend(
    ctx: Ctx,
    ops: Ops,
    market_id: MarketPath,
    driver_id: IdPath,
    data: JSONBody[wire.Reasoned],
    idempotency_key: IdempotencyKey = None,
) -> wire.Action:
    """No offers any more; the driver's sockets close with 4530. What is in hand stays: unassign or transfer it."""
    return await suspensions.suspend(ctx, call(ops, market_id, "suspend", ("driver", driver_id), data, idempotency_key))


@post(
    "/drivers/{driver_id:uuid}/reinstate",
    dto=JsonBody[wire.Reasoned],
    return_dto=None,
    status_code=200,
    operation_id="reinstateDriver",
    responses=ACTED,
)
async def reinstate(
    ctx: Ctx,
    ops: Ops,
    market_id: MarketPath,
    driver_id: IdPath,
    data: JSONBody[wire.Reasoned],
    idempotency_key: IdempotencyKey = None,
) -> wire.Action:
    """A suspended driver may work again."""
    return await suspensions.reinstate(
        ctx, call(ops, market_id, "reinstate", ("driver", driver_id), data, idempotency_key)
    )


@post(
    "/drivers/{driver_id:uuid}/adjustments",
    dto=JsonBody[wire.Adjust],
    return_dto=None,
    status_code=200,
    operation_id="adjustPay",
    responses=ACTED,
)
async def adjust(
    ctx: Ctx,
    ops: Ops,
    market_id: MarketPath,
    driver_id: IdPath,
    data: JSONBody[wire.Adjust],
    idempotency_key: IdempotencyKey = None,
) -> wire.Action:
    """One row of money by hand; the Idempotency-Key is required."""
    return await adjustments.adjust(
        ctx, call(ops, market_id, "adjust", ("driver", driver_id), data, idempotency_key), data
    )


@post(
    "/stops/{stop_id:uuid}/check-in",
    dto=JsonBody[wire.Reasoned],
    return_dto=None,
    status_code=200,
    operation_id="overrideCheckIn",
    responses=ACTED,
)
async def override_check_in(
    ctx: Ctx,
    ops: Ops,
    market_id: MarketPath,
    stop_id: IdPath,
    data: JSONBody[wire.Reasoned],
    idempotency_key: IdempotencyKey = None,
) -> wire.Action:
    """The driver is at the stop although the phone cannot show it."""
    return await overrides.check_in(ctx, call(ops, market_id, "check_in", ("stop", stop_id), data, idempotency_key))


router = Router(
    path="/v1/ops/markets/{market_id:str}",
    route_handlers=[suspend, reinstate, adjust, override_check_in],
    guards=[require_ops],
    dependencies=ops_dependency,
    request_max_body_size=BODY_BYTES_MAX,
    security=[{"ops": []}],
    tags=["operations"],
)
