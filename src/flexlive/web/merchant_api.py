"""What a merchant's system may ask: order a delivery, look at it, say how far the counter is."""

from __future__ import annotations

from litestar import Response, Router, get, post
from litestar.openapi import ResponseSpec
from litestar.params import JSONBody

from flexlive.domain.errors import ErrorCode as E
from flexlive.protocol import merchant as wire
from flexlive.services import deliveries, order_ends, tracking_links
from flexlive.web.auth import require_merchant
from flexlive.web.body import BODY_BYTES_MAX, JsonBody
from flexlive.web.dependencies import Ctx, IdPath, MarketPath, Merchant, merchant_dependency
from flexlive.web.errors import problems

_COMMON = (E.INVALID, E.UNAUTHORIZED, E.FORBIDDEN, E.RATE_LIMITED, E.DATABASE_UNAVAILABLE)
_REFUSED = (
    E.STORE_UNKNOWN, E.CONFLICT, E.TOO_LARGE, E.NOT_PARTICIPATING, E.MERCHANT_CLOSED, E.CUTOFF_PASSED,
    E.OUTSIDE_HOURS, E.PICKUP_WINDOW_INVALID, E.OUTCOME_UNKNOWN,
)  # fmt: skip


@post(
    "/v1/deliveries",
    dto=JsonBody[wire.CreateDelivery],
    return_dto=None,
    request_max_body_size=BODY_BYTES_MAX,
    operation_id="createDelivery",
    responses={
        200: ResponseSpec(wire.DeliveryCreated, description="made before by the same request", generate_examples=False),
        **problems((*_COMMON, *_REFUSED)),
    },
)
async def create_delivery(
    ctx: Ctx, merchant: Merchant, data: JSONBody[wire.CreateDelivery]
) -> Response[wire.DeliveryCreated]:
    """Order a delivery; its market follows from the store. Safe to repeat: the same order is made once."""
    created, first = await deliveries.create(ctx, merchant, data, wire.canonical_sha256(data))
    return Response(created, status_code=201 if first else 200)


@get(
    "/v1/markets/{market_id:str}/deliveries/{delivery_id:uuid}",
    operation_id="getDelivery",
    responses=problems((*_COMMON, E.NOT_FOUND)),
)
async def get_delivery(ctx: Ctx, merchant: Merchant, market_id: MarketPath, delivery_id: IdPath) -> wire.Delivery:
    """How a delivery of this merchant stands now."""
    return await deliveries.get(ctx, market_id, delivery_id, merchant.merchant_id)


@post(
    "/v1/markets/{market_id:str}/deliveries/{delivery_id:uuid}/readiness",
    dto=JsonBody[wire.SetReadiness],
    return_dto=None,
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    operation_id="setReadiness",
    responses=problems((*_COMMON, E.NOT_FOUND, E.ILLEGAL_TRANSITION, E.TOO_LARGE, E.OUTCOME_UNKNOWN)),
)
async def set_readiness(
    ctx: Ctx, merchant: Merchant, market_id: MarketPath, delivery_id: IdPath, data: JSONBody[wire.SetReadiness]
) -> wire.ReadinessSet:
    """What the counter says. Repeating it changes nothing."""
    return await deliveries.set_readiness(ctx, merchant, market_id, delivery_id, data.readiness)


@post(
    "/v1/markets/{market_id:str}/deliveries/{delivery_id:uuid}/cancel",
    dto=JsonBody[wire.CancelDelivery],
    return_dto=None,
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    operation_id="cancelDelivery",
    responses=problems((*_COMMON, E.NOT_FOUND, E.ILLEGAL_TRANSITION, E.TOO_LARGE, E.UNAVAILABLE, E.OUTCOME_UNKNOWN)),
)
async def cancel_delivery(
    ctx: Ctx, merchant: Merchant, market_id: MarketPath, delivery_id: IdPath, data: JSONBody[wire.CancelDelivery]
) -> wire.DeliveryCancelled:
    """Call an order off while its packages are still in the store. Repeating it changes nothing."""
    return await order_ends.cancel(ctx, merchant, market_id, delivery_id, data.reason_code)


@post(
    "/v1/markets/{market_id:str}/deliveries/{delivery_id:uuid}/tracking-link",
    status_code=200,
    operation_id="trackingLink",
    responses=problems((*_COMMON, E.NOT_FOUND)),
)
async def tracking_link(ctx: Ctx, merchant: Merchant, market_id: MarketPath, delivery_id: IdPath) -> wire.TrackingLink:
    """The customer's present link. Another driver or an operator may have ended the one the order was answered with."""
    return await tracking_links.current(ctx, merchant, market_id, delivery_id)


router = Router(
    path="/",
    route_handlers=[create_delivery, get_delivery, set_readiness, cancel_delivery, tracking_link],
    guards=[require_merchant],
    dependencies=merchant_dependency,
    security=[{"merchant": []}],
    tags=["merchant"],
)
