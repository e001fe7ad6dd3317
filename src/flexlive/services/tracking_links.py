"""The customer's link again, for the shop: the present one, also after the one before was ended."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from flexlive.domain.deliveries import TERMINAL
from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.protocol import merchant as wire
from flexlive.services.context import Context
from flexlive.services.tokens import MerchantPrincipal, store_track_token, track_token
from flexlive.services.tracking import LINK_HOURS_AFTER_END
from flexlive.storage import deliveries


async def current(ctx: Context, merchant: MerchantPrincipal, market_id: str, delivery_id: UUID) -> wire.TrackingLink:
    """The same link however often it is asked for, until it is ended. FlexliveError(not_found) for another merchant's
    delivery and for one that ended more than a day ago."""
    now = ctx.clock()
    row = await deliveries.link_terms(ctx.pool, market_id, delivery_id)
    if row is None or row["merchant_id"] != merchant.merchant_id:
        raise FlexliveError(ErrorCode.NOT_FOUND)
    if row["status"] in TERMINAL and row["status_at"] < now - timedelta(hours=LINK_HOURS_AFTER_END):
        raise FlexliveError(ErrorCode.NOT_FOUND, "this delivery ended more than a day ago")
    token = track_token(merchant.link_secret, market_id, delivery_id, row["link_version"])
    await store_track_token(ctx.pool, market_id, delivery_id, token, row["dropoff_deadline_at"], now)
    return wire.TrackingLink(delivery_id=delivery_id, tracking_url=f"{ctx.public_url.rstrip('/')}/t/{token}")
