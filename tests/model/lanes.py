"""Markets that many runs use one after another: two counters, three drivers, and nobody else in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from flexlive.domain.markets import MarketPolicy
from flexlive.protocol import ops
from flexlive.services import merchants, tokens
from flexlive.services.context import Context
from flexlive.services.drivers import DriverPrincipal
from flexlive.services.tokens import OpsPrincipal
from tests.support.world import SITE, World, build_world, hours

DRIVERS = 3
# Offers stay small, PINs run out soon, and every counter costs a minute of waiting or none.
POLICIES = (
    MarketPolicy(bundle_deliveries_max=3, wait_free_seconds=1e6),
    MarketPolicy(bundle_deliveries_max=2, wait_free_seconds=0, pin_attempts_max=1),
    MarketPolicy(bundle_deliveries_max=2, wait_free_seconds=0, delivery_attempts_max=1, offer_policy="broadcast"),
    MarketPolicy(bundle_deliveries_max=3, wait_free_seconds=1e6, partial_pay_share=0.25, delivery_attempts_max=3),
)
DOORS = tuple((SITE[0] + 0.01 * (place + 1), SITE[1]) for place in range(3))


@dataclass
class Lane:
    """One market. codes: what the counters and the site say, by store and by site."""

    world: World
    policy: MarketPolicy
    stores: Sequence[ops.Store]
    ops: OpsPrincipal

    @property
    def market_id(self) -> str:
        return self.world.market_id

    @property
    def drivers(self) -> Sequence[DriverPrincipal]:
        return self.world.drivers

    def store_code(self, store_id: str) -> str:
        return next(store.handoff_code for store in self.stores if str(store.store_id) == store_id)


async def open_lane(ctx: Context, place: int) -> Lane:
    """A fresh market; place picks its rules."""
    policy = POLICIES[place % len(POLICIES)]
    world = await build_world(ctx, market_id=f"lane-{uuid4().hex[:8]}", policy=policy, drivers=DRIVERS)
    second = await merchants.create_store(
        ctx,
        world.market_id,
        ops.CreateStore(
            merchant_id=world.merchant.merchant_id,
            site_id=world.site.site_id,
            external_store_id=f"{world.market_id}-2",
            name="Shop upstairs",
            unit="200",
            floor="2",
            hours=hours(),
        ),
    )
    return Lane(world, policy, (world.store, second), await _operator(ctx))


async def _operator(ctx: Context) -> OpsPrincipal:
    issued = await tokens.issue_ops_token(ctx, timedelta(hours=1))
    return await tokens.verify_ops(ctx, issued.token)
