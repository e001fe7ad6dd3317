"""Retailers, counters, drivers and single deliveries, over HTTP. Operators only."""

from __future__ import annotations

from uuid import UUID

from litestar import Router, get, post
from litestar.params import FromQuery, JSONBody

from flexlive.domain.errors import ErrorCode as E
from flexlive.domain.ids import DEPLOYMENT
from flexlive.protocol import merchant as merchant_wire
from flexlive.protocol import ops as wire
from flexlive.services import deliveries, enrolments, merchants
from flexlive.web.auth import require_ops
from flexlive.web.body import BODY_BYTES_MAX, PROVISIONING_BYTES_MAX, JsonBody
from flexlive.web.dependencies import Ctx, IdPath, MarketPath, Ops, ops_dependency
from flexlive.web.errors import problems
from flexlive.web.market_api import COMMON

_READ = problems((*COMMON, E.MARKET_UNKNOWN))
_CREATE = problems((*COMMON, E.MARKET_UNKNOWN, E.NOT_FOUND, E.CONFLICT, E.TOO_LARGE))


@post(
    "/merchants", dto=JsonBody[wire.CreateMerchant], return_dto=None, operation_id="createMerchant", responses=_CREATE
)
async def create_merchant(ctx: Ctx, ops: Ops, data: JSONBody[wire.CreateMerchant]) -> wire.MerchantCreated:
    """A retailer and its first API key, shown only here. Merchants span markets."""
    ops.require_deployment()
    return await merchants.create(ctx, data)


@get("/merchants", operation_id="listMerchants", responses=problems(COMMON))
async def list_merchants(ctx: Ctx, ops: Ops) -> list[wire.Merchant]:
    """All retailers; with a token of one market, those with a counter there."""
    return await (merchants.every(ctx) if ops.scope == DEPLOYMENT else merchants.of_market(ctx, ops.scope))


@post(
    "/merchants/{merchant_id:uuid}/keys",
    operation_id="createMerchantKey",
    responses=problems((*COMMON, E.NOT_FOUND)),
)
async def create_merchant_key(ctx: Ctx, ops: Ops, merchant_id: IdPath) -> wire.MerchantCreated:
    """Another API key beside those there are, shown only here."""
    ops.require_deployment()
    return await merchants.add_key(ctx, merchant_id)


@post(
    "/markets/{market_id:str}/stores",
    dto=JsonBody[wire.CreateStore],
    return_dto=None,
    operation_id="createStore",
    responses=_CREATE,
)
async def create_store(ctx: Ctx, market_id: MarketPath, data: JSONBody[wire.CreateStore]) -> wire.Store:
    """A counter at a site."""
    return await merchants.create_store(ctx, market_id, data)


@get("/markets/{market_id:str}/stores", operation_id="listStores", responses=_READ)
async def list_stores(ctx: Ctx, market_id: MarketPath) -> list[wire.Store]:
    return await merchants.stores(ctx, market_id)


@post(
    "/markets/{market_id:str}/drivers",
    dto=JsonBody[wire.ProvisionDrivers],
    return_dto=None,
    request_max_body_size=PROVISIONING_BYTES_MAX,
    operation_id="provisionDrivers",
    responses=_CREATE,
)
async def provision_drivers(
    ctx: Ctx, market_id: MarketPath, data: JSONBody[wire.ProvisionDrivers]
) -> list[wire.DriverProvisioned]:
    """Drivers with vehicle, active enrolment and access token, in the order sent."""
    return await enrolments.provision(ctx, market_id, data)


@get("/markets/{market_id:str}/drivers", operation_id="listDrivers", responses=_READ)
async def list_drivers(ctx: Ctx, market_id: MarketPath, after: FromQuery[UUID | None] = None) -> wire.DriverPage:
    """A page of drivers, oldest first."""
    return await enrolments.drivers(ctx, market_id, after)


@get(
    "/markets/{market_id:str}/deliveries/{delivery_id:uuid}",
    operation_id="opsGetDelivery",
    responses=problems((*COMMON, E.MARKET_UNKNOWN, E.NOT_FOUND)),
)
async def ops_get_delivery(ctx: Ctx, market_id: MarketPath, delivery_id: IdPath) -> merchant_wire.Delivery:
    """Any merchant's delivery as it stands now."""
    return await deliveries.get(ctx, market_id, delivery_id, None)


router = Router(
    path="/v1/ops",
    route_handlers=[
        create_merchant, list_merchants, create_merchant_key, create_store, list_stores, provision_drivers,
        list_drivers, ops_get_delivery,
    ],
    guards=[require_ops],
    dependencies=ops_dependency,
    request_max_body_size=BODY_BYTES_MAX,
    security=[{"ops": []}],
    tags=["operations"],
)  # fmt: skip
