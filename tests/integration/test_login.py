"""Logins on a real database: codes are counted whatever is refused, strangers look like drivers, and a refresh token
that comes twice ends everything that came of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest

from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.domain.ids import token_sha256
from flexlive.domain.logins import LoginOptions
from flexlive.protocol import driver_http as wire
from flexlive.protocol import ops
from flexlive.services import account, drivers, enrolments, login
from flexlive.services.context import Context
from flexlive.services.drivers import DriverPrincipal, Refused
from flexlive.services.login import LoginDesk
from tests.support.world import build_world

PHONE, STRANGER = "+17025550123", "+17025550199"


@dataclass
class Letterbox:
    """A sender that keeps what it was given."""

    sent: list[tuple[str, str, str]] = field(default_factory=list)

    async def send(self, market_id: str, phone: str, code: str) -> None:
        self.sent.append((market_id, phone, code))

    async def close(self) -> None:
        pass


@dataclass
class Town:
    """One market with one driver who has a phone; the clock is the test's."""

    ctx: Context
    driver_id: Any
    box: Letterbox
    options: LoginOptions = field(default_factory=LoginOptions)
    market_id: str = "testville"

    @property
    def desk(self) -> LoginDesk:
        return LoginDesk(self.box, self.options)

    def wait(self, seconds: float) -> None:
        clock = self.ctx.clock
        self.ctx = replace(self.ctx, clock=lambda: clock() + timedelta(seconds=seconds))

    async def ask(self, phone: str = PHONE) -> wire.CodeAsked:
        return await login.ask_for_code(self.ctx, self.desk, wire.AskForCode(market_id=self.market_id, phone=phone))

    async def enter(self, code: str, phone: str = PHONE) -> wire.DriverTokens:
        return await login.log_in(self.ctx, self.desk, wire.LogIn(market_id=self.market_id, phone=phone, code=code))

    async def code(self) -> str:
        """Ask for a code and read it on the phone."""
        before = len(self.box.sent)
        await self.ask()
        async with asyncio.timeout(5):
            while len(self.box.sent) == before:
                await asyncio.sleep(0)
        return self.box.sent[-1][2]

    async def logged_in(self) -> wire.DriverTokens:
        return await self.enter(await self.code())

    async def refresh(self, token: str, attempt: str | None = None) -> wire.DriverTokens:
        return await account.refresh(self.ctx, self.options, wire.Refresh(refresh_token=token, attempt=attempt))

    async def holds(self, access_token: str) -> bool:
        return isinstance(await drivers.authenticate(self.ctx, access_token), DriverPrincipal)

    async def revocations(self) -> list[dict[str, Any]]:
        rows = await self.ctx.pool.fetch(
            "select data from event where kind = 'driver.family_revoked' order by event_id"
        )
        return [row["data"] for row in rows]


@pytest.fixture
async def town(ctx: Context) -> Town:
    await build_world(ctx)
    new = ops.NewDriver(first_name="Ada", phone=PHONE, offer_types=("retail_delivery",))
    [made] = await enrolments.provision(ctx, "testville", ops.ProvisionDrivers(drivers=(new,)))
    return Town(ctx, made.driver_id, Letterbox())


async def refusal(work: Any) -> FlexliveError:
    with pytest.raises(FlexliveError) as caught:
        await work
    return caught.value


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


async def test_a_phone_is_one_drivers_in_a_market(town: Town) -> None:
    again = ops.ProvisionDrivers(drivers=(ops.NewDriver(first_name="Bo", phone=PHONE),))
    assert (await refusal(enrolments.provision(town.ctx, "testville", again))).code is ErrorCode.CONFLICT
    await build_world(town.ctx, market_id="elsewhere")
    [made] = await enrolments.provision(town.ctx, "elsewhere", again)
    town.market_id = "elsewhere"
    assert (await town.logged_in()).driver_id == made.driver_id
