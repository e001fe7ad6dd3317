"""Logging in on a real database: codes are counted whatever is refused, and strangers look like drivers."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest

from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.domain.ids import token_sha256
from flexlive.protocol import driver_http as wire
from flexlive.protocol import ops
from flexlive.services import drivers, enrolments
from flexlive.services.context import Context
from flexlive.services.drivers import Refused
from tests.integration.logins import PHONE, STRANGER, Town, refusal, town_with_a_driver
from tests.support.world import build_world


@pytest.fixture
async def town(ctx: Context) -> Town:
    return await town_with_a_driver(ctx)


def other(code: str) -> str:
    return f"{(int(code) + 1) % 10**6:06d}"


async def test_a_code_opens_one_login(town: Town) -> None:
    code = await town.code()
    assert town.box.sent == [("testville", PHONE, code)]
    assert len(code) == 6
    assert code.isdigit()
    outcomes = await asyncio.gather(*(town.enter(code) for _ in range(5)), return_exceptions=True)
    [tokens] = [outcome for outcome in outcomes if isinstance(outcome, wire.DriverTokens)]
    assert tokens.driver_id == town.driver_id
    assert await town.holds(tokens.access_token)
    now = town.ctx.clock()
    assert timedelta(minutes=14) < tokens.access_expires_at - now <= timedelta(minutes=15)
    assert timedelta(days=29) < tokens.refresh_expires_at - now <= timedelta(days=30)
    # A refresh token is no key to anything else.
    assert await drivers.authenticate(town.ctx, tokens.refresh_token) == Refused("unknown")
    town.wait(15 * 60)
    assert await drivers.authenticate(town.ctx, tokens.access_token) == Refused("expired")


async def test_nothing_secret_is_stored(town: Town) -> None:
    code = await town.code()
    kept = await town.ctx.pool.fetchval("select code_sha256 from login_code")
    assert kept == sha256(f"testville {PHONE} {code}".encode()).digest()
    tokens = await town.enter(code)
    secrets = {tokens.access_token, tokens.refresh_token, code}
    dump = ""
    for table in ("token", "event", "login_code"):
        dump += str(await town.ctx.pool.fetch(f"select t::text from {table} t"))
    assert not [secret for secret in secrets if secret in dump]
    hashes = await town.ctx.pool.fetch("select token_sha256 from token where kind in ('driver', 'refresh')")
    assert {token_sha256(tokens.access_token), token_sha256(tokens.refresh_token)} <= {row[0] for row in hashes}


async def test_a_stranger_is_answered_like_a_driver_step_by_step(town: Town) -> None:
    told: dict[str, list[Any]] = {PHONE: [], STRANGER: []}
    wrong = other(await town.code())
    await town.ask(STRANGER)
    town.wait(61)

    async def say(phone: str, work: Any) -> None:
        try:
            told[phone].append(await work)
        except FlexliveError as error:
            told[phone].append((error.code, error.detail, dict(error.fields)))

    for phone in (PHONE, STRANGER):
        await say(phone, town.ask(phone))
        await say(phone, town.ask(phone))
        for _ in range(6):
            await say(phone, town.enter(wrong, phone))
    assert told[PHONE] == told[STRANGER]
    assert [phone for _, phone, _ in town.box.sent] == [PHONE, PHONE]
    assert told[PHONE][-1][0] is ErrorCode.ATTEMPTS_EXHAUSTED


async def test_even_the_right_code_of_a_stranger_is_wrong(town: Town) -> None:
    await town.ask(STRANGER)
    digest = sha256(f"testville {STRANGER} 123456".encode()).digest()
    await town.ctx.pool.execute("update login_code set code_sha256 = $1", digest)
    assert (await refusal(town.enter("123456", STRANGER))).code is ErrorCode.WRONG_CODE
    assert await town.ctx.pool.fetchval("select attempts from login_code") == 1


async def test_attempts_are_counted_and_then_even_the_right_code_is_refused(town: Town) -> None:
    code = await town.code()
    left = [(await refusal(town.enter(other(code)))).fields for _ in range(5)]
    assert left == [{"attempts_left": number} for number in (4, 3, 2, 1, 0)]
    assert (await refusal(town.enter(code))).code is ErrorCode.ATTEMPTS_EXHAUSTED
    town.wait(60)
    assert (await town.enter(await town.code())).driver_id == town.driver_id


async def test_wrong_attempts_at_once_are_all_counted(town: Town) -> None:
    code = await town.code()
    outcomes = await asyncio.gather(*(town.enter(other(code)) for _ in range(12)), return_exceptions=True)
    codes = [outcome.code for outcome in outcomes if isinstance(outcome, FlexliveError)]
    assert codes.count(ErrorCode.WRONG_CODE) == 5
    assert codes.count(ErrorCode.ATTEMPTS_EXHAUSTED) == 7


async def test_a_code_is_dead_after_ten_minutes_and_when_another_was_sent(town: Town) -> None:
    first = await town.code()
    town.wait(60)
    second = await town.code()
    if first != second:
        assert (await refusal(town.enter(first))).code is ErrorCode.WRONG_CODE
    town.wait(600)
    error = await refusal(town.enter(second))
    assert (error.code, dict(error.fields)) == (ErrorCode.WRONG_CODE, {})


async def test_codes_are_limited_by_the_minute_and_by_the_day(town: Town) -> None:
    asked = await asyncio.gather(*(town.ask() for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(each, wire.CodeAsked) for each in asked) == 1
    [wait, *_] = [each.fields["retry_after_seconds"] for each in asked if isinstance(each, FlexliveError)]
    assert 1 <= wait <= 60
    for _ in range(town.options.codes_per_phone_and_day_max - 1):
        town.wait(60)
        await town.ask()
    town.wait(60)
    error = await refusal(town.ask())
    assert error.code is ErrorCode.RATE_LIMITED
    assert 80_000 < error.fields["retry_after_seconds"] < 86_400
    town.wait(error.fields["retry_after_seconds"])
    await town.ask()


async def test_a_market_that_is_none_and_a_driver_off_the_road(town: Town) -> None:
    town.market_id = "nowhere"
    assert (await refusal(town.ask())).code is ErrorCode.MARKET_UNKNOWN
    assert (await refusal(town.enter("123456"))).code is ErrorCode.WRONG_CODE
    town.market_id = "testville"
    code = await town.code()
    await town.ctx.pool.execute("update driver set status = 'suspended'")
    assert (await refusal(town.enter(code))).code is ErrorCode.DEACTIVATED
    assert await town.ctx.pool.fetchval("select count(*) from token where kind = 'refresh'") == 0


async def test_a_phone_is_one_drivers_in_a_market(town: Town) -> None:
    again = ops.ProvisionDrivers(drivers=(ops.NewDriver(first_name="Bo", phone=PHONE),))
    assert (await refusal(enrolments.provision(town.ctx, "testville", again))).code is ErrorCode.CONFLICT
    await build_world(town.ctx, market_id="elsewhere")
    [made] = await enrolments.provision(town.ctx, "elsewhere", again)
    town.market_id = "elsewhere"
    assert (await town.logged_in()).driver_id == made.driver_id
