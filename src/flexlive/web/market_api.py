"""Opening a market, over HTTP: the city, its sites, offer types, service levels and who takes part. Operators only."""

from __future__ import annotations

from litestar import Router, get, post, put
from litestar.params import FromPath, JSONBody

from flexlive.domain.errors import ErrorCode as E
from flexlive.protocol import ops as wire
from flexlive.protocol.merchant import ServiceLevelName
from flexlive.services import markets
from flexlive.web.auth import require_ops
from flexlive.web.body import BODY_BYTES_MAX, JsonBody
from flexlive.web.dependencies import Ctx, MarketPath, OfferTypePath, Ops, ops_dependency
from flexlive.web.errors import problems

COMMON = (E.INVALID, E.UNAUTHORIZED, E.FORBIDDEN, E.RATE_LIMITED, E.DATABASE_UNAVAILABLE)
_READ = problems((*COMMON, E.MARKET_UNKNOWN))
_WRITE = problems((*COMMON, E.MARKET_UNKNOWN, E.NOT_FOUND, E.TOO_LARGE))
_CREATE = problems((*COMMON, E.MARKET_UNKNOWN, E.NOT_FOUND, E.CONFLICT, E.TOO_LARGE))


@post("/", dto=JsonBody[wire.CreateMarket], return_dto=None, operation_id="createMarket", responses=_CREATE)
async def create_market(ctx: Ctx, ops: Ops, data: JSONBody[wire.CreateMarket]) -> wire.Market:
    """A new city. Only with a token of the whole deployment."""
    ops.require_deployment()
    return await markets.create(ctx, data)


@get("/", operation_id="listMarkets", responses=problems(COMMON))
async def list_markets(ctx: Ctx, ops: Ops) -> list[wire.Market]:
    """The markets this operator acts in."""
    return [market for market in await markets.every(ctx) if ops.acts_in(market.market_id)]


@get("/{market_id:str}", operation_id="getMarket", responses=_READ)
async def get_market(ctx: Ctx, market_id: MarketPath) -> wire.Market:
    return await markets.get(ctx, market_id)


@put(
    "/{market_id:str}/policy",
    dto=JsonBody[wire.PutPolicy],
    return_dto=None,
    operation_id="putPolicy",
    responses=_WRITE,
)
async def put_policy(ctx: Ctx, market_id: MarketPath, data: JSONBody[wire.PutPolicy]) -> wire.Market:
    """Replace the policy as a whole; a field left out has its default."""
    return await markets.set_policy(ctx, market_id, data)


@post(
    "/{market_id:str}/sites",
    dto=JsonBody[wire.CreateSite],
    return_dto=None,
    operation_id="createSite",
    responses=_CREATE,
)
async def create_site(ctx: Ctx, market_id: MarketPath, data: JSONBody[wire.CreateSite]) -> wire.Site:
    return await markets.create_site(ctx, market_id, data)


@get("/{market_id:str}/sites", operation_id="listSites", responses=_READ)
async def list_sites(ctx: Ctx, market_id: MarketPath) -> list[wire.Site]:
    return await markets.sites(ctx, market_id)


@put(
    "/{market_id:str}/offer-types/{offer_type:str}",
    dto=JsonBody[wire.PutOfferType],
    return_dto=None,
    operation_id="putOfferType",
    responses=_WRITE,
)
async def put_offer_type(
    ctx: Ctx, market_id: MarketPath, offer_type: OfferTypePath, data: JSONBody[wire.PutOfferType]
) -> wire.OfferType:
    """Create or replace an offer type."""
    return await markets.put_offer_type(ctx, market_id, offer_type, data)


@get("/{market_id:str}/offer-types", operation_id="listOfferTypes", responses=_READ)
async def list_offer_types(ctx: Ctx, market_id: MarketPath) -> list[wire.OfferType]:
    return await markets.offer_types(ctx, market_id)


@put(
    "/{market_id:str}/service-levels/{service_level:str}",
    dto=JsonBody[wire.PutServiceLevel],
    return_dto=None,
    operation_id="putServiceLevel",
    responses=_WRITE,
)
async def put_service_level(
    ctx: Ctx, market_id: MarketPath, service_level: FromPath[ServiceLevelName], data: JSONBody[wire.PutServiceLevel]
) -> wire.ServiceLevel:
    """Create or replace what a market promises; orders already in keep their window."""
    return await markets.put_service_level(ctx, market_id, service_level, data)


@get("/{market_id:str}/service-levels", operation_id="listServiceLevels", responses=_READ)
async def list_service_levels(ctx: Ctx, market_id: MarketPath) -> list[wire.ServiceLevel]:
    return await markets.service_levels(ctx, market_id)


@put(
    "/{market_id:str}/participations",
    dto=JsonBody[wire.PutParticipation],
    return_dto=None,
    operation_id="putParticipation",
    responses=_WRITE,
)
async def put_participation(
    ctx: Ctx, market_id: MarketPath, data: JSONBody[wire.PutParticipation]
) -> wire.Participation:
    """Switch a merchant's stores at a site on or off for an offer type."""
    return await markets.put_participation(ctx, market_id, data)


@get("/{market_id:str}/participations", operation_id="listParticipations", responses=_READ)
async def list_participations(ctx: Ctx, market_id: MarketPath) -> list[wire.Participation]:
    return await markets.participations(ctx, market_id)


router = Router(
    path="/v1/ops/markets",
    route_handlers=[
        create_market, list_markets, get_market, put_policy, create_site, list_sites, put_offer_type,
        list_offer_types, put_service_level, list_service_levels, put_participation, list_participations,
    ],
    guards=[require_ops],
    dependencies=ops_dependency,
    request_max_body_size=BODY_BYTES_MAX,
    security=[{"ops": []}],
    tags=["markets"],
)  # fmt: skip
