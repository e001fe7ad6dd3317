"""Setting up a market: the city itself, its sites, offer types, service levels, and who takes part."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.domain.ids import is_market_id
from flexlive.domain.markets import MarketPolicy, policy_from
from flexlive.domain.sites import zone
from flexlive.protocol import ops
from flexlive.services import codes, entitlements
from flexlive.services.context import Context
from flexlive.storage import markets as rows
from flexlive.storage import merchants
from flexlive.storage.enrolments import terms_of
from flexlive.storage.pool import Record


async def create(ctx: Context, request: ops.CreateMarket) -> ops.Market:
    """FlexliveError(invalid) for a time zone nobody knows, (conflict) when the id is taken."""
    if not is_market_id(request.market_id):
        raise FlexliveError(ErrorCode.INVALID, "this market_id is reserved")
    zone(request.time_zone)
    market = rows.NewMarket(
        market_id=request.market_id,
        name=request.name,
        time_zone=request.time_zone,
        currency=request.currency,
        offer_resolution=request.offer_resolution,
        presence_resolution=request.presence_resolution,
        policy=msgspec.to_builtins(request.policy),
        created_at=ctx.clock(),
    )
    if not await rows.insert(ctx.pool, market):
        raise FlexliveError(ErrorCode.CONFLICT, "the market exists", market_id=request.market_id)
    await ctx.market_ready(request.market_id)
    return await get(ctx, request.market_id)


async def get(ctx: Context, market_id: str) -> ops.Market:
    """FlexliveError(market_unknown)."""
    return _market(await _row(ctx, market_id))


async def every(ctx: Context) -> list[ops.Market]:
    return [_market(row) for row in await rows.every(ctx.pool)]


async def set_policy(ctx: Context, market_id: str, policy: MarketPolicy) -> ops.Market:
    """Replace the policy; its version rises when something changed. Workers read it with their next round."""
    await _row(ctx, market_id)
    await rows.set_policy(ctx.pool, market_id, msgspec.to_builtins(policy))
    return await get(ctx, market_id)


async def create_site(ctx: Context, market_id: str, request: ops.CreateSite) -> ops.Site:
    """FlexliveError(conflict) with the site's id when the name is taken, (not_found) for an unknown parent."""
    policy = policy_from((await _row(ctx, market_id))["policy"])
    if request.parent_site_id is not None and not await rows.site_exists(ctx.pool, market_id, request.parent_site_id):
        raise FlexliveError(ErrorCode.NOT_FOUND, "no such parent site")
    site = rows.NewSite(
        site_id=ctx.new_id(),
        parent_site_id=request.parent_site_id,
        kind=request.kind,
        name=request.name,
        address=request.address,
        lat=request.lat,
        lon=request.lon,
        entrance_name=request.entrance.name,
        entrance_lat=request.entrance.lat,
        entrance_lon=request.entrance.lon,
        geofence_radius_m=request.geofence_radius_m or policy.geofence_default_radius_m,
        hours=msgspec.to_builtins(request.hours),
        parking_notes=request.parking_notes,
        check_in_code=codes.digits(ctx.new_secret(), "check-in", codes.COUNTER_CODE_DIGITS),
        created_at=ctx.clock(),
    )
    if not await rows.insert_site(ctx.pool, market_id, site):
        taken = await rows.site_named(ctx.pool, market_id, request.name)
        raise FlexliveError(ErrorCode.CONFLICT, "the market has a site of this name", site_id=taken)
    return next(each for each in await sites(ctx, market_id) if each.site_id == site.site_id)


async def sites(ctx: Context, market_id: str) -> list[ops.Site]:
    await _row(ctx, market_id)
    return [_site(market_id, row) for row in await rows.sites(ctx.pool, market_id)]


async def put_offer_type(ctx: Context, market_id: str, offer_type: str, request: ops.PutOfferType) -> ops.OfferType:
    """Create or replace. A higher terms_version makes active drivers accept again before their next offer."""
    await _row(ctx, market_id)
    before = await terms_of(ctx.pool, market_id, offer_type)
    await rows.put_offer_type(
        ctx.pool,
        market_id,
        offer_type,
        name=request.name,
        terms_version=request.terms_version,
        documents_required=request.documents_required,
        pay_rule=msgspec.to_builtins(request.pay_rule),
        active=request.active,
        created_at=ctx.clock(),
    )
    if before is not None and before != await terms_of(ctx.pool, market_id, offer_type):
        await entitlements.refresh(ctx, market_id, offer_type)
    return next(each for each in await offer_types(ctx, market_id) if each.offer_type == offer_type)


async def offer_types(ctx: Context, market_id: str) -> list[ops.OfferType]:
    await _row(ctx, market_id)
    return [msgspec.convert(dict(row.items()), ops.OfferType) for row in await rows.offer_types(ctx.pool, market_id)]


async def put_service_level(
    ctx: Context, market_id: str, service_level: str, request: ops.PutServiceLevel
) -> ops.ServiceLevel:
    """Create or replace; orders already in keep the window they were promised."""
    await _row(ctx, market_id)
    await rows.put_service_level(
        ctx.pool,
        market_id,
        service_level,
        shape=request.shape,
        promise_seconds=request.promise_seconds,
        cutoff_local=request.cutoff_local,
        window_end_local=request.window_end_local,
        days_of_week=sorted(set(request.days_of_week)),
    )
    return next(each for each in await service_levels(ctx, market_id) if each.service_level == service_level)


async def service_levels(ctx: Context, market_id: str) -> list[ops.ServiceLevel]:
    await _row(ctx, market_id)
    found = await rows.service_levels(ctx.pool, market_id)
    return [msgspec.convert(dict(row.items()), ops.ServiceLevel) for row in found]


async def put_participation(ctx: Context, market_id: str, request: ops.PutParticipation) -> ops.Participation:
    """Create or replace. FlexliveError(not_found) when merchant, site or offer type is not there."""
    known = {each.offer_type for each in await offer_types(ctx, market_id)}
    if (
        request.offer_type not in known
        or not await rows.site_exists(ctx.pool, market_id, request.site_id)
        or not await merchants.exists(ctx.pool, request.merchant_id)
    ):
        raise FlexliveError(ErrorCode.NOT_FOUND, "no such merchant, site or offer type")
    participation = ops.Participation(
        merchant_id=request.merchant_id,
        site_id=request.site_id,
        offer_type=request.offer_type,
        active=request.active,
        valid_from=request.valid_from or ctx.clock(),
        valid_until=request.valid_until,
    )
    if participation.valid_until is not None and participation.valid_until <= participation.valid_from:
        raise FlexliveError(ErrorCode.INVALID, "valid_until must be after valid_from")
    await rows.put_participation(ctx.pool, market_id, **msgspec.structs.asdict(participation))
    return participation


async def participations(ctx: Context, market_id: str) -> list[ops.Participation]:
    await _row(ctx, market_id)
    found = await rows.participations(ctx.pool, market_id)
    return [msgspec.convert(dict(row.items()), ops.Participation) for row in found]


async def require(ctx: Context, market_id: str) -> None:
    """FlexliveError(market_unknown) unless the market is there."""
    await _row(ctx, market_id)


async def _row(ctx: Context, market_id: str) -> Record:
    row = await rows.get(ctx.pool, market_id) if is_market_id(market_id) else None
    if row is None:
        raise FlexliveError(ErrorCode.MARKET_UNKNOWN)
    return row


def _market(row: Record) -> ops.Market:
    return msgspec.convert(dict(row.items()), ops.Market)


def _site(market_id: str, row: Record) -> ops.Site:
    columns: dict[str, Any] = dict(row.items())
    entrance = {name: columns.pop(f"entrance_{name}") for name in ("name", "lat", "lon")}
    return msgspec.convert({**columns, "market_id": market_id, "entrance": entrance}, ops.Site)


async def site_id_named(ctx: Context, market_id: str, name: str) -> UUID | None:
    return await rows.site_named(ctx.pool, market_id, name)
