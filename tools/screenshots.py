"""Pictures of the customer's page for the README: `python -m tools.screenshots [FOLDER] [--all]`.

A real server on a PostgreSQL of its own, a real driver's socket, and the system's Chromium; nothing is painted by hand.
Without --all only the pictures of the README; with it every state, for looking at.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, Page, async_playwright

from flexlive.domain.markets import MarketPolicy
from flexlive.protocol.merchant import DeliveryCreated, DropoffVerification
from flexlive.services import cancellations, tracking
from flexlive.services.causes import Cause
from flexlive.storage import migrations
from flexlive.storage.embedded import EmbeddedOptions, EmbeddedPostgres
from flexlive.web.limits import HttpOptions
from tests.support.chromium import ARGUMENTS, PHONE, executable
from tests.support.courier import Courier, on_the_road
from tests.support.http_server import serve
from tests.support.tcp_relay import TcpRelay, relay_to
from tests.support.tracking import token_of
from tests.support.world import SITE, World, build_world

IN_README = ("waiting", "on-the-way", "at-the-door", "delivered", "undeliverable")
README_SCALE = 1.5
BYTES_MAX = 120 * 1024
DOOR = (SITE[0] + 0.018, SITE[1] + 0.004)
ON_THE_WAY = (SITE[0] + 0.006, SITE[1] - 0.006)


@dataclass
class Set:
    """Where the pictures are taken."""

    world: World
    url: str
    relay: TcpRelay
    browser: Browser
    folder: Path
    wanted: frozenset[str] | None
    orders: int = 0
    courier: Courier | None = None

    async def order(self) -> DeliveryCreated:
        self.orders += 1
        return await self.world.order(
            external_delivery_id=f"BK-{20480 + self.orders}",
            dropoff_address="742 Evergreen Terrace",
            dropoff_unit="Apt 4",
            dropoff_lat=DOOR[0],
            dropoff_lon=DOOR[1],
            dropoff_instructions="Blue door on the left.\nThe bell is broken, please knock.",
            dropoff_verification=DropoffVerification(pincode="4711"),
            fulfilled_by="Blue Kite Toys",
        )

    async def take(self, name: str, created: DeliveryCreated, before: Callable[[Page], Awaitable[Any]] | None = None):
        """One picture of the page as it is now."""
        if self.wanted is not None and name not in self.wanted:
            return
        for scheme in ("light", "dark") if self.wanted is None else ("light",):
            sharp = 2 if self.wanted is None else README_SCALE
            context = await self.browser.new_context(**{**PHONE, "color_scheme": scheme, "device_scale_factor": sharp})
            self.relay.restore()
            if self.courier is not None:
                await self.courier.rest()
            page = await context.new_page()
            await page.goto(f"http://127.0.0.1:{self.relay.port}/t/{token_of(created)}")
            if await page.locator("#map").count():
                await page.locator("#map[data-drawn]").wait_for()
                await page.wait_for_timeout(700)
            if before is not None:
                await before(page)
            path = self.folder / (f"{name}.png" if scheme == "light" else f"{name}-dark.png")
            await page.screenshot(path=path, full_page=self.wanted is None)
            await context.close()
            sys.stdout.write(f"{path}  {path.stat().st_size // 1024} KiB\n")
            if self.wanted is not None and path.stat().st_size > BYTES_MAX:
                raise SystemExit(f"{path} is larger than {BYTES_MAX} bytes")

    @asynccontextmanager
    async def on_board(self) -> AsyncIterator[tuple[Courier, DeliveryCreated]]:
        """A delivery on its own leg, the driver a little on the way."""
        async with on_the_road(self.url, self.world) as courier:
            created = await self.order()
            await courier.win()
            await courier.to_the_counter()
            await courier.ping(ON_THE_WAY)
            await asyncio.sleep(0.2)
            self.courier = courier
            yield courier, created
            self.courier = None


async def main(folder: Path, wanted: frozenset[str] | None) -> None:
    """Take them all; a state that cannot be reached is an error."""
    postgres = EmbeddedPostgres(EmbeddedOptions())
    await asyncio.to_thread(postgres.start_blocking)
    try:
        await migrations.migrate(postgres.dsn)
        options = HttpOptions(stream_heartbeat_seconds=0.5)
        async with (
            serve(postgres.dsn, http=options) as server,
            relay_to(urlsplit(server.url).port or 0) as relay,
            async_playwright() as playwright,
        ):
            world = await build_world(server.ctx, drivers=1, policy=MarketPolicy(speed_mps_max=1e6))
            await server.ctx.pool.execute("update store set name = 'Blue Kite Toys, Level 2'")
            await server.ctx.pool.execute("update driver set first_name = 'Ada'")
            browser = await playwright.chromium.launch(executable_path=executable(), args=ARGUMENTS)
            await play(Set(world, server.url, relay, browser, folder, wanted))
            await browser.close()
    finally:
        await asyncio.to_thread(postgres.stop_blocking)


async def play(stage: Set) -> None:
    """The states a customer may see, one after the other."""
    ctx = stage.world.ctx
    waiting = await stage.order()
    await stage.take("waiting", waiting)
    await stage.take("editing", waiting, lambda page: page.locator("button.edit").click())
    await cancel(stage, waiting)
    await stage.take("cancelled", waiting)
    async with stage.on_board() as (courier, created):
        await stage.take("on-the-way", created)
        await stage.take("reconnecting", created, lambda page: lose(stage, page))
        await courier.ping((DOOR[0] - 0.003, DOOR[1] - 0.002))
        await asyncio.sleep(0.3)
        await stage.take("almost-there", created)
        await courier.arrive()
        await courier.ping((DOOR[0] - 0.0003, DOOR[1]))
        await asyncio.sleep(0.3)
        await stage.take("at-the-door", created)
        await courier.deliver(pincode="4711", recipient="Ana")
        await stage.take("delivered", created)
        await tracking.revoke_links(ctx, stage.world.market_id, created.delivery_id)
        await stage.take("link-dead", created)
    async with stage.on_board() as (courier, created):
        await courier.arrive()
        await courier.give_up("customer_refused")
        await stage.take("going-back", created)
        await courier.bring_back()
        await stage.take("returned", created)
    async with stage.on_board() as (courier, created):
        await courier.arrive()
        await courier.give_up("address_problem")
        await stage.take("undeliverable", created)


async def cancel(stage: Set, created: DeliveryCreated) -> None:
    ctx, now = stage.world.ctx, stage.world.ctx.clock()
    cause = Cause("merchant", str(stage.world.merchant.merchant_id), now, now, "customer_cancelled")
    async with ctx.pool.acquire() as conn, conn.transaction():
        answer = await cancellations.cancel(ctx, conn, stage.world.market_id, created.delivery_id, cause)
    assert answer.ok, answer
    ctx.committed(stage.world.market_id)


async def lose(stage: Set, page: Page) -> None:
    stage.relay.cut()
    await page.locator("#connection:not([hidden])").wait_for()


if __name__ == "__main__":
    names = [word for word in sys.argv[1:] if not word.startswith("--")]
    every = "--all" in sys.argv[1:]
    target = Path(names[0]) if names else Path(__file__).parent.parent / "docs" / "images"
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(target, None if every else frozenset(IN_README)))
