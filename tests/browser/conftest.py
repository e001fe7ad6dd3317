"""The system's Chromium on a real server: one browser, one server and one database for all tests of this folder."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import asyncpg
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, TimeoutError, async_playwright

from flexlive.domain.markets import MarketPolicy
from flexlive.protocol.merchant import DeliveryCreated
from flexlive.web.limits import HttpOptions
from tests.conftest import with_database
from tests.support.chromium import ARGUMENTS, PHONE, executable
from tests.support.http_server import Server, serve
from tests.support.tcp_relay import TcpRelay, relay_to
from tests.support.thorough import ONE_SECOND_MAX
from tests.support.tracking import token_of
from tests.support.world import World, build_world

HEARTBEAT_SECONDS = 0.5


@pytest.fixture(scope="session", autouse=True)
def _browser_here() -> None:
    if executable() is not None:
        return
    if os.environ.get("FLEXLIVE_REQUIRE_BROWSER") == "1":
        pytest.fail("no chromium on this machine, and FLEXLIVE_REQUIRE_BROWSER=1")
    pytest.skip("no chromium on this machine")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(postgres_dsn: str, database_template: str) -> AsyncIterator[Server]:
    name = f"flexlive_test_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute(f'create database "{name}" template "{database_template}"')
    options = HttpOptions(stream_heartbeat_seconds=HEARTBEAT_SECONDS, requests_per_minute_max=0)
    async with serve(with_database(postgres_dsn, name), http=options) as running:
        yield running
    await connection.execute(f'drop database "{name}" with (force)')
    await connection.close()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser(_browser_here: None) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        made = await playwright.chromium.launch(executable_path=executable(), args=ARGUMENTS)
        yield made
        await made.close()


@dataclass
class Customer:
    """A page behind a network of its own. asked: every address it asked for. faults: what its console complained of."""

    page: Page
    relay: TcpRelay
    asked: list[str]
    faults: list[str]

    def url(self, created: DeliveryCreated) -> str:
        return f"http://127.0.0.1:{self.relay.port}/t/{token_of(created)}"

    async def open(self, created: DeliveryCreated) -> None:
        await self.page.goto(self.url(created))

    async def sees(self, text: str, seconds: float = ONE_SECOND_MAX) -> None:
        """The headline says it within that time."""
        try:
            await self.page.locator("h1", has_text=text).wait_for(timeout=seconds * 1000)
        except TimeoutError:
            shown = await self.page.locator("h1").all_text_contents()
            raise AssertionError(f"{shown} instead of {text!r} after {seconds} s; faults: {self.faults}") from None

    def heard(self, since: int = 0) -> str:
        """What the server has sent to this customer, as text."""
        return bytes(self.relay.heard[since:]).decode(errors="replace")


@dataclass
class Street:
    """Where customers live."""

    server: Server
    browser: Browser
    open: AsyncExitStack

    async def customer(self, *, scripts: bool = True, **context: object) -> Customer:
        relay = await self.open.enter_async_context(relay_to(urlsplit(self.server.url).port or 0))
        made = await self.browser.new_context(**{**PHONE, "java_script_enabled": scripts, **context})  # type: ignore[arg-type]
        self.open.push_async_callback(made.close)
        customer = Customer(await made.new_page(), relay, [], [])
        customer.page.on("request", lambda request: customer.asked.append(request.url))
        customer.page.on("console", lambda said: customer.faults.append(said.text) if said.type == "error" else None)
        customer.page.on("pageerror", lambda error: customer.faults.append(str(error)))
        return customer

    @asynccontextmanager
    async def world(self, drivers: int = 1, **policy: object) -> AsyncIterator[World]:
        """A market of the test's own."""
        rules = MarketPolicy(**{"speed_mps_max": 1e6, **policy})  # type: ignore[arg-type]
        yield await build_world(self.server.ctx, drivers=drivers, market_id=f"m-{uuid.uuid4().hex[:12]}", policy=rules)


@pytest_asyncio.fixture(loop_scope="module")
async def street(server: Server, browser: Browser) -> AsyncIterator[Street]:
    async with AsyncExitStack() as stack:
        yield Street(server, browser, stack)
        await asyncio.sleep(0)
