"""Tokens on a real database: who they speak for, when they stop, and that a ticket opens one door once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.domain.ids import DEPLOYMENT, parse_token
from flexlive.services import drivers, merchants, tokens
from flexlive.services.context import Context
from flexlive.services.drivers import DriverPrincipal, Refused
from tests.support.world import World

HOUR = timedelta(hours=1)


def later(ctx: Context, by: timedelta) -> Context:
    return replace(ctx, clock=lambda: ctx.clock() + by)


async def unauthorized(work: object) -> None:
    with pytest.raises(FlexliveError) as caught:
        await work  # type: ignore[misc]
    assert caught.value.code is ErrorCode.UNAUTHORIZED


async def test_an_ops_token_holds_until_it_expires(ctx: Context) -> None:
    issued = await tokens.issue_ops_token(ctx, HOUR)
    principal = await tokens.verify_ops(ctx, issued.token)
    assert principal.scope == DEPLOYMENT
    principal.require_market("anywhere")
    principal.require_deployment()
    assert (await tokens.verify_ops(later(ctx, HOUR - timedelta(seconds=1)), issued.token)) == principal
    await unauthorized(tokens.verify_ops(later(ctx, HOUR), issued.token))


async def test_an_ops_token_of_one_market_acts_there_only(ctx: Context) -> None:
    issued = await tokens.issue_ops_token(ctx, HOUR, "las-vegas")
    principal = await tokens.verify_ops(ctx, issued.token)
    principal.require_market("las-vegas")
    with pytest.raises(FlexliveError) as caught:
        principal.require_market("tysons")
    assert caught.value.code is ErrorCode.MARKET_UNKNOWN
    with pytest.raises(FlexliveError) as caught:
        principal.require_deployment()
    assert caught.value.code is ErrorCode.FORBIDDEN


@pytest.mark.parametrize("ttl", [timedelta(0), -HOUR, timedelta(days=400)])
async def test_an_absurd_lifetime_is_a_mistake(ctx: Context, ttl: timedelta) -> None:
    with pytest.raises(ValueError):
        await tokens.issue_ops_token(ctx, ttl)


async def test_only_the_right_kind_opens(world: World) -> None:
    ops = (await tokens.issue_ops_token(world.ctx, HOUR)).token
    await world.add_drivers(1, online=False)
    for token in ("", "x", world.api_key, world.driver_tokens[0], ops[:-1], ops + "A"):
        await unauthorized(tokens.verify_ops(world.ctx, token))
    for token in ("", "x", ops, world.driver_tokens[0], world.api_key[:-1] + "_"):
        await unauthorized(tokens.verify_merchant(world.ctx, token))
    # A forged market in front of a good secret is another token.
    await unauthorized(tokens.verify_ops(world.ctx, ops.replace("_deployment_", "_las-vegas_")))


async def test_revoking_ends_a_token_and_a_key(world: World) -> None:
    ops = (await tokens.issue_ops_token(world.ctx, HOUR)).token
    for token, verify in ((ops, tokens.verify_ops), (world.api_key, tokens.verify_merchant)):
        assert await tokens.revoke(world.ctx, token)
        assert not await tokens.revoke(world.ctx, token)
        await unauthorized(verify(world.ctx, token))
    assert not await tokens.revoke(world.ctx, "nonsense")


async def test_the_tracking_token_follows_from_the_key_alone(world: World) -> None:
    delivery_id = uuid4()
    first = tokens.track_token(world.merchant.link_secret, "las-vegas", delivery_id)
    assert first == tokens.track_token(tokens.link_secret_of(world.api_key), "las-vegas", delivery_id)
    parts = parse_token(first)
    assert parts is not None
    assert parts.market_id == "las-vegas"
    assert first != tokens.track_token(world.merchant.link_secret, "las-vegas", uuid4())
    other = await merchants.add_key(world.ctx, world.merchant.merchant_id)
    assert first != tokens.track_token(tokens.link_secret_of(other.api_key), "las-vegas", delivery_id)


async def test_a_ticket_is_spent_by_exactly_one(world: World) -> None:
    [driver] = await world.add_drivers(1, online=False)
    ticket = await tokens.issue_ticket(world.ctx, driver.market_id, driver.driver_id, driver.family_id)
    assert ticket.expires_at - world.ctx.clock() <= timedelta(seconds=30)
    outcomes = await asyncio.gather(*(drivers.authenticate(world.ctx, ticket.token) for _ in range(10)))
    winners = [outcome for outcome in outcomes if isinstance(outcome, DriverPrincipal)]
    assert [winner.driver_id for winner in winners] == [driver.driver_id]
    assert winners[0].family_id == driver.family_id


async def test_a_ticket_is_dead_after_thirty_seconds(world: World) -> None:
    [driver] = await world.add_drivers(1, online=False)
    ticket = await tokens.issue_ticket(world.ctx, driver.market_id, driver.driver_id, driver.family_id)
    assert await tokens.spend_ticket(later(world.ctx, timedelta(seconds=30)), ticket.token) is None
    assert await tokens.spend_ticket(world.ctx, world.driver_tokens[0]) is None
    assert await tokens.spend_ticket(world.ctx, ticket.token) == (driver.driver_id, driver.family_id)


async def test_ending_a_login_ends_its_tickets_and_tells_its_sockets(world: World) -> None:
    [driver] = await world.add_drivers(1, online=False)
    ticket = await tokens.issue_ticket(world.ctx, driver.market_id, driver.driver_id, driver.family_id)
    assert await tokens.revoke_driver_family(world.ctx, driver.market_id, driver.driver_id, driver.family_id) == 2
    assert await drivers.authenticate(world.ctx, world.driver_tokens[0]) == Refused("revoked")
    assert await drivers.authenticate(world.ctx, ticket.token) == Refused("revoked")
    row = await world.ctx.pool.fetchrow("select stream, data from event where kind = 'driver.family_revoked'")
    assert row is not None
    assert row["stream"] == f"driver:{driver.driver_id}"
    assert row["data"] == {"family_id": str(driver.family_id)}
    assert await tokens.revoke_driver_family(world.ctx, driver.market_id, driver.driver_id, driver.family_id) == 0
    with pytest.raises(FlexliveError) as caught:
        await tokens.revoke_driver_family(world.ctx, driver.market_id, uuid4(), driver.family_id)
    assert caught.value.code is ErrorCode.NOT_FOUND
