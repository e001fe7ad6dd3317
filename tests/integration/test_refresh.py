"""Staying logged in on a real database: a refresh token that comes twice ends everything that came of it."""

from __future__ import annotations

import asyncio

import pytest

from flexlive.domain.errors import ErrorCode
from flexlive.domain.ids import token_sha256
from flexlive.protocol import driver_http as wire
from flexlive.services import account, drivers
from flexlive.services.context import Context
from flexlive.services.drivers import Refused
from tests.integration.logins import Town, refusal, town_with_a_driver


@pytest.fixture
async def town(ctx: Context) -> Town:
    return await town_with_a_driver(ctx)


async def test_refreshing_goes_on_for_as_long_as_the_app_comes_back(town: Town) -> None:
    tokens = await town.logged_in()
    for _ in range(3):
        town.wait(29 * 86_400)
        fresh = await town.refresh(tokens.refresh_token)
        assert await town.holds(fresh.access_token)
        assert {fresh.access_token, fresh.refresh_token}.isdisjoint({tokens.access_token, tokens.refresh_token})
        tokens = fresh
    families = await town.ctx.pool.fetchval(
        "select count(distinct family_id) from token where token_sha256 = any($1)",
        [token_sha256(tokens.access_token), token_sha256(tokens.refresh_token)],
    )
    assert families == 1
    town.wait(30 * 86_400)
    assert (await refusal(town.refresh(tokens.refresh_token))).code is ErrorCode.TOKEN_EXPIRED
    assert await town.revocations() == []


async def test_a_refresh_token_used_twice_ends_the_whole_login(town: Town) -> None:
    first = await town.logged_in()
    second = await town.refresh(first.refresh_token)
    town.wait(60)
    elsewhere = await town.logged_in()
    assert (await refusal(town.refresh(first.refresh_token))).code is ErrorCode.UNAUTHORIZED
    for access in (first.access_token, second.access_token):
        assert await drivers.authenticate(town.ctx, access) == Refused("revoked")
    assert (await refusal(town.refresh(second.refresh_token))).code is ErrorCode.UNAUTHORIZED
    [told] = await town.revocations()
    assert told["reason"] == "refresh_reused"
    assert await town.holds(elsewhere.access_token), "another login is another family"


async def test_two_refreshes_at_once_are_a_reuse_too(town: Town) -> None:
    tokens = await town.logged_in()
    outcomes = await asyncio.gather(*(town.refresh(tokens.refresh_token) for _ in range(2)), return_exceptions=True)
    [won] = [outcome for outcome in outcomes if isinstance(outcome, wire.DriverTokens)]
    assert not await town.holds(won.access_token)
    assert len(await town.revocations()) == 1


async def test_an_app_that_lost_the_answer_asks_again_as_the_same_attempt(town: Town) -> None:
    tokens = await town.logged_in()
    lost = await town.refresh(tokens.refresh_token, "try-1")
    got = await town.refresh(tokens.refresh_token, "try-1")
    assert await town.holds(got.access_token)
    assert not await town.holds(lost.access_token), "what nobody got is worth nothing"
    assert await town.holds(tokens.access_token), "what was there before stays"
    # Whoever comes with the lost one has read the line.
    assert (await refusal(town.refresh(lost.refresh_token, "try-2"))).code is ErrorCode.UNAUTHORIZED
    assert not await town.holds(got.access_token)


@pytest.mark.parametrize("how", ["another attempt", "too late", "its successor was used"])
async def test_the_same_attempt_helps_nobody_else(town: Town, how: str) -> None:
    tokens = await town.logged_in()
    fresh = await town.refresh(tokens.refresh_token, "try-1")
    attempt = "try-1"
    if how == "another attempt":
        attempt = "try-2"
    elif how == "too late":
        town.wait(601)
    else:
        await town.refresh(fresh.refresh_token, "try-2")
    assert (await refusal(town.refresh(tokens.refresh_token, attempt))).code is ErrorCode.UNAUTHORIZED
    assert len(await town.revocations()) == 1


async def test_refreshing_while_suspended_is_refused_and_spends_nothing(town: Town) -> None:
    tokens = await town.logged_in()
    await town.ctx.pool.execute("update driver set status = 'suspended'")
    assert (await refusal(town.refresh(tokens.refresh_token))).code is ErrorCode.DEACTIVATED
    await town.ctx.pool.execute("update driver set status = 'active'")
    assert await town.holds((await town.refresh(tokens.refresh_token)).access_token)


async def test_only_a_refresh_token_refreshes(town: Town) -> None:
    tokens = await town.logged_in()
    forged = tokens.refresh_token[:-1] + ("A" if tokens.refresh_token[-1] != "A" else "B")
    moved = tokens.refresh_token.replace("testville", "elsewhere")
    disguised = tokens.access_token.replace("fl_driver_", "fl_refresh_")
    for token in ("x", tokens.access_token, disguised, forged, moved):
        assert (await refusal(town.refresh(token))).code is ErrorCode.UNAUTHORIZED
    assert await town.holds(tokens.access_token)


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
async def test_logging_out_ends_the_login_and_takes_the_driver_offline(town: Town, which: str) -> None:
    tokens = await town.logged_in()
    await town.ctx.pool.execute("update driver set presence = 'online'")
    town.wait(20 * 60)
    for _ in range(2):
        await account.log_out(town.ctx, getattr(tokens, which))
    assert await drivers.authenticate(town.ctx, tokens.access_token) == Refused("revoked")
    assert (await refusal(town.refresh(tokens.refresh_token))).code is ErrorCode.UNAUTHORIZED
    [told] = await town.revocations()
    assert told["reason"] == "logged_out"
    assert await town.ctx.pool.fetchval("select presence from driver") == "offline"
    kinds = [row["kind"] for row in await town.ctx.pool.fetch("select kind from event order by event_id")]
    assert kinds == ["driver.logged_in", "driver.presence", "driver.family_revoked"]
