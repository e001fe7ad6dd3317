"""Operators step into single deliveries, over HTTP: every action in one transaction, with its reason on record."""

from __future__ import annotations

from litestar import Router, get, post
from litestar.params import JSONBody

from flexlive.domain.errors import ErrorCode as E
from flexlive.protocol import ops_actions as wire
from flexlive.services import assignments, deadlines, overrides, resolutions, stories, transfers
from flexlive.web.auth import require_ops
from flexlive.web.body import BODY_BYTES_MAX, JsonBody
from flexlive.web.dependencies import Ctx, IdPath, MarketPath, Ops, ops_dependency
from flexlive.web.errors import problems
from flexlive.web.market_api import COMMON
from flexlive.web.ops_calls import ACTED, IdempotencyKey, call

_PATH = "/{delivery_id:uuid}"


@post(
    _PATH + "/assign",
    dto=JsonBody[wire.Assign],
    return_dto=None,
    status_code=200,
    operation_id="assignDelivery",
    responses=ACTED,
)
async def assign(
    ctx: Ctx,
    ops: Ops,
    market_id: MarketPath,
    delivery_id: IdPath,
    data: JSONBody[wire.Assign],
    idempotency_key: IdempotencyKey = None,
) -> wire.Action:
    """Give a waiting delivery to a driver, without an offer."""
    return await assignments.assign(
        ctx, call(ops, market_id, "assign", ("delivery", delivery_id), data, idempotency_key), data
    )


@post(
    _PATH + "/unassign",
    dto=JsonBody[wire.Reasoned],
    return_dto=None,
    status_code=200,
    operation_id="unassignDelivery",
    responses=ACTED,
)
async def unassign(
    ctx: Ctx,
    ops: Ops,
    market_id: MarketPath,
    delivery_id: IdPath,
    data: JSONBody[wire.Reasoned],
    idempotency_key: IdempotencyKey = None,
) -> wire.Action:
    """Take it from its driver before it is picked up; it is offered to others at once."""
    return await assignments.unassign(
        ctx, call(ops, market_id, "unassign", ("delivery", delivery_id), data, idempotency_key)
    )


@post(
    _PATH + "/reoffer",
    dto=JsonBody[wire.Reasoned],
    return_dto=None,
    status_code=200,
    operation_id="reofferDelivery",
    responses=ACTED,
)
async def reoffer(
    ctx: Ctx,
    ops: Ops,
    market_id: MarketPath,
    delivery_id: IdPath,
    data: JSONBody[wire.Reasoned],
    idempotency_key: IdempotencyKey = None,
) -> wire.Action:
    """Offer a waiting delivery anew, under today's rules and pay."""
    return await assignments.reoffer(
        ctx, call(ops, market_id, "reoffer", ("delivery", delivery_id), data, idempotency_key)
    )


@post(
    _PATH + "/cancel",
    dto=JsonBody[wire.Reasoned],
    return_dto=None,
    status_code=200,
    operation_id="opsCancelDelivery",
    responses=ACTED,
)
async def ops_cancel(
    ctx: Ctx,
    ops: Ops,
    market_id: MarketPath,
    delivery_id: IdPath,
    data: JSONBody[wire.Reasoned],
    idempotency_key: IdempotencyKey = None,
) -> wire.Action:
    """End it before it is picked up."""
    return await resolutions.cancel(
        ctx, call(ops, market_id, "cancel", ("delivery", delivery_id), data, idempotency_key)
    )


@post(
    _PATH + "/extend",
    dto=JsonBody[wire.Extend],
    return_dto=None,
    status_code=200,
    operation_id="extendDelivery",
    responses=ACTED,
)
async def extend(
    ctx: Ctx,
    ops: Ops,
    market_id: MarketPath,
    delivery_id: IdPath,
    data: JSONBody[wire.Extend],
    idempotency_key: IdempotencyKey = None,
) -> wire.Action:
    """Later deadlines."""
    return await deadlines.extend(
        ctx, call(ops, market_id, "extend", ("delivery", delivery_id), data, idempotency_key), data
    )


@post(
    _PATH + "/resolve",
    dto=JsonBody[wire.ResolveIncident],
    return_dto=None,
    status_code=200,
    operation_id="resolveIncident",
    responses=ACTED,
)
async def resolve_incident(
    ctx: Ctx,
    ops: Ops,
    market_id: MarketPath,
    delivery_id: IdPath,
    data: JSONBody[wire.ResolveIncident],
    idempotency_key: IdempotencyKey = None,
) -> wire.Action:
    """Decide what becomes of an undeliverable delivery."""
    return await resolutions.resolve_incident(
        ctx, call(ops, market_id, "resolve", ("delivery", delivery_id), data, idempotency_key), data
    )


@post(
    _PATH + "/lost",
    dto=JsonBody[wire.Reasoned],
    return_dto=None,
    status_code=200,
    operation_id="loseDelivery",
    responses=ACTED,
)
async def lose(
    ctx: Ctx,
    ops: Ops,
    market_id: MarketPath,
    delivery_id: IdPath,
    data: JSONBody[wire.Reasoned],
    idempotency_key: IdempotencyKey = None,
) -> wire.Action:
    """Packages that left the store and will not turn up."""
    return await resolutions.lose(ctx, call(ops, market_id, "lost", ("delivery", delivery_id), data, idempotency_key))


@post(
    _PATH + "/transfer",
    dto=JsonBody[wire.Transfer],
    return_dto=None,
    status_code=200,
    operation_id="transferDelivery",
    responses=ACTED,
)
async def transfer(
    ctx: Ctx,
    ops: Ops,
    market_id: MarketPath,
    delivery_id: IdPath,
    data: JSONBody[wire.Transfer],
    idempotency_key: IdempotencyKey = None,
) -> wire.Action:
    """A second driver takes over what is on board; custody passes when that driver has scanned it."""
    return await transfers.transfer(
        ctx, call(ops, market_id, "transfer", ("delivery", delivery_id), data, idempotency_key), data
    )


@post(
    _PATH + "/transfer/cancel",
    dto=JsonBody[wire.Reasoned],
    return_dto=None,
    status_code=200,
    operation_id="cancelTransfer",
    responses=ACTED,
)
async def cancel_transfer(
    ctx: Ctx,
    ops: Ops,
    market_id: MarketPath,
    delivery_id: IdPath,
    data: JSONBody[wire.Reasoned],
    idempotency_key: IdempotencyKey = None,
) -> wire.Action:
    """The first driver goes on alone."""
    return await transfers.cancel_transfer(
        ctx, call(ops, market_id, "cancel_transfer", ("delivery", delivery_id), data, idempotency_key)
    )


@post(
    _PATH + "/revoke-link",
    dto=JsonBody[wire.Reasoned],
    return_dto=None,
    status_code=200,
    operation_id="revokeTrackingLink",
    responses=ACTED,
)
async def revoke_link(
    ctx: Ctx,
    ops: Ops,
    market_id: MarketPath,
    delivery_id: IdPath,
    data: JSONBody[wire.Reasoned],
    idempotency_key: IdempotencyKey = None,
) -> wire.Action:
    """Every tracking link of the delivery dies at once."""
    return await overrides.revoke_link(
        ctx, call(ops, market_id, "revoke_link", ("delivery", delivery_id), data, idempotency_key)
    )


@get(
    _PATH + "/story",
    operation_id="deliveryStory",
    responses=problems((*COMMON, E.MARKET_UNKNOWN, E.NOT_FOUND)),
)
async def story(ctx: Ctx, market_id: MarketPath, delivery_id: IdPath) -> wire.Story:
    """Everything known of a delivery, as of one moment."""
    return await stories.tell(ctx, market_id, delivery_id)


router = Router(
    path="/v1/ops/markets/{market_id:str}/deliveries",
    route_handlers=[
        assign, unassign, reoffer, ops_cancel, extend, resolve_incident, lose, transfer, cancel_transfer, revoke_link,
        story,
    ],
    guards=[require_ops],
    dependencies=ops_dependency,
    request_max_body_size=BODY_BYTES_MAX,
    security=[{"ops": []}],
    tags=["operations"],
)  # fmt: skip
