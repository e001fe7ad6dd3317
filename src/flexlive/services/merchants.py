"""Retailers: who they are, the keys their systems hold, and their counters at the sites of a market."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.protocol import ops
from flexlive.services import codes, markets
from flexlive.services.context import Context
from flexlive.services.tokens import MERCHANT_SCOPES_ALL, issue_merchant_key
from flexlive.storage import markets as market_rows
from flexlive.storage import merchants as rows
from flexlive.storage.pool import Record
from flexlive.storage.transaction import transaction


async def create(ctx: Context, request: ops.CreateMerchant) -> ops.MerchantCreated:
    """A retailer with a first key. FlexliveError(conflict) with its id when the name is taken."""
    merchant_id = ctx.new_id()
    async with transaction(ctx.pool) as conn:
        if await rows.insert(conn, merchant_id, request.name, request.brand or request.name, ctx.clock()):
            key = await issue_merchant_key(conn, ctx, merchant_id, MERCHANT_SCOPES_ALL)
            return ops.MerchantCreated(merchant_id=merchant_id, api_key=key)
    taken = await rows.named(ctx.pool, request.name)
    raise FlexliveError(ErrorCode.CONFLICT, "a merchant has this name", merchant_id=taken)


async def add_key(ctx: Context, merchant_id: UUID, scopes: Sequence[str] = MERCHANT_SCOPES_ALL) -> ops.MerchantCreated:
    """Another key beside those there are. FlexliveError(not_found)."""
    async with transaction(ctx.pool) as conn:
        if not await rows.exists(conn, merchant_id):
            raise FlexliveError(ErrorCode.NOT_FOUND)
        return ops.MerchantCreated(
            merchant_id=merchant_id, api_key=await issue_merchant_key(conn, ctx, merchant_id, scopes)
        )


async def every(ctx: Context) -> list[ops.Merchant]:
    return [msgspec.convert(dict(row.items()), ops.Merchant) for row in await rows.every(ctx.pool)]


async def of_market(ctx: Context, market_id: str) -> list[ops.Merchant]:
    """Those with a counter in this market."""
    found = await rows.of_market(ctx.pool, market_id)
    return [msgspec.convert(dict(row.items()), ops.Merchant) for row in found]


async def create_store(ctx: Context, market_id: str, request: ops.CreateStore) -> ops.Store:
    """A counter. FlexliveError(conflict) when the number is in use, with the store when it is in this market,
    (not_found) for an unknown merchant or site."""
    await markets.require(ctx, market_id)
    if not await rows.exists(ctx.pool, request.merchant_id):
        raise FlexliveError(ErrorCode.NOT_FOUND, "no such merchant")
    if not await market_rows.site_exists(ctx.pool, market_id, request.site_id):
        raise FlexliveError(ErrorCode.NOT_FOUND, "no such site in this market")
    weekly: dict[str, Any] = msgspec.to_builtins(request.hours)
    holidays = weekly.pop("holidays", [])
    store = rows.NewStore(
        store_id=ctx.new_id(),
        merchant_id=request.merchant_id,
        external_store_id=request.external_store_id,
        site_id=request.site_id,
        name=request.name,
        unit=request.unit,
        floor=request.floor,
        phone=request.phone,
        pickup_instructions=request.pickup_instructions,
        hours=weekly,
        holidays=holidays,
        prep_seconds_default=request.prep_seconds_default,
        carry_weight_grams_max=request.carry_weight_grams_max,
        handoff_code=codes.digits(ctx.new_secret(), "hand-off", codes.COUNTER_CODE_DIGITS),
        created_at=ctx.clock(),
    )
    if not await rows.insert_store(ctx.pool, market_id, store):
        taken = await rows.store_numbered(ctx.pool, request.merchant_id, request.external_store_id)
        # Where else a merchant has counters is not for the operators of this market.
        found = {"market_id": market_id, "store_id": taken[1]} if taken and taken[0] == market_id else {}
        raise FlexliveError(ErrorCode.CONFLICT, "the merchant uses this store number already", **found)
    return ops.Store(
        market_id=market_id,
        hours=request.hours,
        **{name: getattr(store, name) for name in ops.Store.__struct_fields__ if name not in ("market_id", "hours")},
    )


async def stores(ctx: Context, market_id: str) -> list[ops.Store]:
    await markets.require(ctx, market_id)
    return [_store(market_id, row) for row in await rows.stores(ctx.pool, market_id)]


def _store(market_id: str, row: Record) -> ops.Store:
    columns: dict[str, Any] = dict(row.items())
    columns["hours"] = {**columns["hours"], "holidays": columns.pop("holidays")}
    return msgspec.convert({**columns, "market_id": market_id}, ops.Store)
