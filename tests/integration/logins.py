"""A market with one driver who has a phone, and somebody who reads what is sent to it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from flexlive.domain.errors import FlexliveError
from flexlive.domain.logins import LoginOptions
from flexlive.protocol import driver_http as wire
from flexlive.protocol import ops
from flexlive.services import account, drivers, enrolments, login
from flexlive.services.context import Context
from flexlive.services.drivers import DriverPrincipal
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


async def town_with_a_driver(ctx: Context) -> Town:
    await build_world(ctx)
    new = ops.NewDriver(first_name="Ada", phone=PHONE, offer_types=("retail_delivery",))
    [made] = await enrolments.provision(ctx, "testville", ops.ProvisionDrivers(drivers=(new,)))
    return Town(ctx, made.driver_id, Letterbox())


async def refusal(work: Any) -> FlexliveError:
    with pytest.raises(FlexliveError) as caught:
        await work
    return caught.value
