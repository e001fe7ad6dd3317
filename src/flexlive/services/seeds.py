"""Filling an empty deployment with the pilots, through the same use cases an operator has."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.protocol import ops
from flexlive.services import markets, merchants
from flexlive.services.context import Context
from flexlive.services.pilot_malls import MERCHANTS, OFFER_TYPE, MallPlan, malls
from flexlive.storage import markets as market_rows


@dataclass(frozen=True, slots=True)
class SeededMerchant:
    """api_key: only when the merchant was created now; it is kept nowhere."""

    name: str
    merchant_id: UUID
    api_key: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class SeededStore:
    merchant: str
    store_id: UUID
    external_store_id: str
    name: str
    handoff_code: str


@dataclass(frozen=True, slots=True)
class SeededMall:
    market_id: str
    site_id: UUID
    site_name: str
    check_in_code: str
    stores: tuple[SeededStore, ...]


@dataclass(frozen=True, slots=True)
class SeedReport:
    """What is there now, created in this call or before."""

    malls: tuple[SeededMall, ...]
    merchants: tuple[SeededMerchant, ...]


async def pilot_malls(ctx: Context, *, always_open: bool = False) -> SeedReport:
    """Create what is missing of the three pilots; what is there stays as it is. Safe to repeat.

    always_open: stores without hours and service levels without cut-offs, for demonstrations at any time of day.
    """
    retailers = {request.name: await _merchant(ctx, request) for request in MERCHANTS}
    seeded = tuple([await _mall(ctx, plan, retailers) for plan in malls(always_open=always_open)])
    await market_rows.analyze(ctx.pool)
    return SeedReport(seeded, tuple(retailers.values()))


async def _merchant(ctx: Context, request: ops.CreateMerchant) -> SeededMerchant:
    try:
        made = await merchants.create(ctx, request)
    except FlexliveError as error:
        _only_conflict(error)
        return SeededMerchant(request.name, error.fields["merchant_id"], None)
    return SeededMerchant(request.name, made.merchant_id, made.api_key)


async def _mall(ctx: Context, plan: MallPlan, retailers: dict[str, SeededMerchant]) -> SeededMall:
    market_id = plan.market.market_id
    new = True
    try:
        await markets.create(ctx, plan.market)
    except FlexliveError as error:
        _only_conflict(error)
        new = False
    if new or not await markets.offer_types(ctx, market_id):
        await markets.put_offer_type(ctx, market_id, OFFER_TYPE, plan.offer_type)
    known_levels = {level.service_level for level in await markets.service_levels(ctx, market_id)}
    for name, level in plan.service_levels.items():
        if name not in known_levels:
            await markets.put_service_level(ctx, market_id, name, level)
    site = await _site(ctx, plan)
    for name in dict.fromkeys(store.merchant for store in plan.stores):
        await _take_part(ctx, market_id, retailers[name].merchant_id, site.site_id)
    for store in plan.stores:
        try:
            await merchants.create_store(
                ctx, market_id, store.request(retailers[store.merchant].merchant_id, site.site_id)
            )
        except FlexliveError as error:
            _only_conflict(error)
    return await _report(ctx, site, {retailer.merchant_id: name for name, retailer in retailers.items()})


async def _site(ctx: Context, plan: MallPlan) -> ops.Site:
    market_id = plan.market.market_id
    try:
        return await markets.create_site(ctx, market_id, plan.site)
    except FlexliveError as error:
        _only_conflict(error)
    return next(site for site in await markets.sites(ctx, market_id) if site.name == plan.site.name)


async def _take_part(ctx: Context, market_id: str, merchant_id: UUID, site_id: UUID) -> None:
    """Only when nothing was decided about it yet: an operator may have switched it off."""
    for known in await markets.participations(ctx, market_id):
        if (known.merchant_id, known.site_id, known.offer_type) == (merchant_id, site_id, OFFER_TYPE):
            return
    request = ops.PutParticipation(merchant_id=merchant_id, site_id=site_id, offer_type=OFFER_TYPE)
    await markets.put_participation(ctx, market_id, request)


async def _report(ctx: Context, site: ops.Site, names: dict[UUID, str]) -> SeededMall:
    stores = tuple(
        SeededStore(names[store.merchant_id], store.store_id, store.external_store_id, store.name, store.handoff_code)
        for store in await merchants.stores(ctx, site.market_id)
        if store.site_id == site.site_id and store.merchant_id in names
    )
    return SeededMall(site.market_id, site.site_id, site.name, site.check_in_code, stores)


def _only_conflict(error: FlexliveError) -> None:
    """Being there already is what a seed expects; anything else is not."""
    if error.code is not ErrorCode.CONFLICT:
        raise error
