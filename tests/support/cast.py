"""Everybody who may speak to a server, with their credentials: two markets, two retailers, good and bad keys."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from flexlive.domain.ids import DEPLOYMENT, TokenKind, format_token, token_sha256
from flexlive.services import tokens
from tests.support.dispatch import dispatch, open_offer_ids
from tests.support.tracking import token_of
from tests.support.world import World, build_world, open_test_context

DRIVERS = 5


@dataclass(frozen=True)
class Place:
    """One market and what is in it. Names of the fields are the names of path parameters."""

    market_id: str
    merchant_id: UUID
    store_id: UUID
    site_id: UUID
    driver_ids: tuple[UUID, ...]
    delivery_id: UUID
    offer_id: UUID
    barcode: str
    api_key: str
    ops_token: str
    driver_tokens: tuple[str, ...]
    track_token: str


@dataclass(frozen=True)
class Cast:
    """here and there: two markets that know nothing of each other."""

    here: Place
    there: Place
    ops_token: str
    expired: dict[str, str]
    """A token that was good once, by kind."""

    def forged(self) -> dict[str, str]:
        """Tokens of the right shape that nobody has issued."""
        return {
            kind.value: format_token(kind, DEPLOYMENT if kind is TokenKind.MERCHANT else self.here.market_id, "A" * 43)
            for kind in TokenKind
        }


async def cast(database_url: str) -> Cast:
    """Set the stage on a migrated, empty database nobody serves yet."""
    async with open_test_context(database_url) as ctx:
        here, there = [
            await _place(await build_world(ctx, drivers=DRIVERS, market_id=name)) for name in ("here", "there")
        ]
        deployment = await tokens.issue_ops_token(ctx, timedelta(hours=1))
        old_ops = await tokens.issue_ops_token(ctx, timedelta(hours=1), "here")
        async with ctx.pool.acquire() as conn:
            [old_driver] = await tokens.issue_driver_tokens(
                conn, ctx, "here", [here.driver_ids[0]], timedelta(seconds=1)
            )
            await conn.execute(
                "update token set expires_at = now() - interval '1 hour' where token_sha256 = any($1)",
                [token_sha256(old.token) for old in (old_ops, old_driver)],
            )
    return Cast(here, there, deployment.token, {"ops": old_ops.token, "driver": old_driver.token})


async def _place(world: World) -> Place:
    created = await world.order()
    await dispatch(world.ctx, world.market_id)
    [offer_id] = await open_offer_ids(world.ctx, world.market_id)
    ops = await tokens.issue_ops_token(world.ctx, timedelta(hours=1), world.market_id)
    return Place(
        market_id=world.market_id,
        merchant_id=world.merchant.merchant_id,
        store_id=world.store.store_id,
        site_id=world.site.site_id,
        driver_ids=tuple(driver.driver_id for driver in world.drivers),
        delivery_id=created.delivery_id,
        offer_id=offer_id,
        barcode=created.packages[0].barcode,
        api_key=world.api_key,
        ops_token=ops.token,
        driver_tokens=tuple(world.driver_tokens),
        track_token=token_of(created),
    )
