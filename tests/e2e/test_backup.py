"""The backup and restore drill of docs/deploy.md, word by word, while orders are placed and won."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from flexlive.client.driver_client import DriverClient
from flexlive.client.options import Silent
from flexlive.domain.markets import MarketPolicy
from flexlive.lab.processes import Child, ChildOptions, free_port
from flexlive.lab.server_process import wait_ready
from flexlive.protocol.driver import OfferAccept
from flexlive.protocol.merchant import DeliveryCreated
from flexlive.storage.embedded import EmbeddedOptions, running_dsn
from flexlive.storage.embedded_process import processes_in
from tests.support.documents import block
from tests.support.sse import open_stream
from tests.support.thorough import THOROUGH
from tests.support.tracking import token_of
from tests.support.world import SITE, World, build_world, open_test_context

HOST = "127.0.0.1"
COMMAND_SECONDS_MAX = 60.0
SETTLED_SECONDS_MAX = 30.0
KINDS = ("base backup", "dump") if THOROUGH else ("base backup",)


@dataclass
class House:
    """A server with its embedded database in `data`, and the programs of this environment first in PATH."""

    home: Path
    port: int
    data: Path
    child: Child | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "FLEXLIVE_DATA_DIR": str(self.data),
            "FLEXLIVE_LOG_LEVEL": "warning",
            "BACKUP": str(self.home / "backup"),
            "NEW": str(self.home / "new"),
        }

    async def start(self) -> str:
        """The server, ready; its database's dsn."""
        options = ChildOptions(name="the server", log=self.home / "server.log")
        arguments = ["-m", "flexlive", "serve", "--host", HOST, "--port", str(self.port)]
        self.child = await Child.start(arguments, options, env=self.environment)
        await wait_ready(self.child, self.url, COMMAND_SECONDS_MAX)
        return running_dsn(EmbeddedOptions(data_dir=self.data / "postgres"))

    async def lose(self) -> None:
        """kill -9, and its database gone with it."""
        assert self.child is not None
        self.child.kill()
        await self.child.wait(5)
        async with asyncio.timeout(SETTLED_SECONDS_MAX):
            while list(processes_in(self.data / "postgres" / "pgdata")):
                await asyncio.sleep(0.05)

    async def type(self, commands: str) -> str:
        """What a reader of the document types; everything it says. AssertionError when a command fails."""
        shell = await asyncio.create_subprocess_exec(
            "/bin/sh", "-eu", "-c", commands, env={**os.environ, **self.environment},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(COMMAND_SECONDS_MAX):
            said, _ = await shell.communicate()
        assert shell.returncode == 0, said.decode()
        return said.decode()


@pytest.fixture
async def house() -> AsyncIterator[House]:
    # Not pytest's own folder: root's PostgreSQL runs as somebody who may not enter it.
    home = Path(tempfile.mkdtemp(prefix="flexlive-drill-"))
    home.chmod(0o711)
    house = House(home, free_port(HOST), home / "live")
    try:
        yield house
    finally:
        if house.child is not None:
            await house.child.stop()
        shutil.rmtree(home)


class Openings(Silent):
    """How each connection began: resumed, or from a snapshot."""

    def __init__(self) -> None:
        self.resumed: list[bool] = []

    def opened(self, resumed: bool) -> None:
        self.resumed.append(resumed)


@dataclass
class Traffic:
    """Drivers who accept whatever they see while orders keep coming."""

    world: World
    clients: list[DriverClient]
    placed: list[DeliveryCreated] = field(default_factory=list)
    won: set[str] = field(default_factory=set)

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(self._order()),
            *(asyncio.create_task(self._accept(each)) for each in self.clients),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _order(self) -> None:
        while True:
            self.placed.append(await self.world.order(dropoff_lat=SITE[0] + 0.01))
            await asyncio.sleep(0.1)

    async def _accept(self, client: DriverClient) -> None:
        tried: set[object] = set()
        while True:
            for offer in [each for each in client.state.offers.values() if each.offer_id not in tried]:
                tried.add(offer.offer_id)
                result = await client.command(
                    OfferAccept(cmd=client.next_cmd(), offer_id=offer.offer_id, offer_version=offer.offer_version)
                )
                if result.code == "won":
                    self.won.add(str(offer.offer_id))
            await asyncio.sleep(0.02)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", KINDS)
async def test_backup_under_load_and_restore(house: House, kind: str) -> None:
    async with AsyncExitStack() as stack:
        dsn = await house.start()
        ctx = await stack.enter_async_context(open_test_context(dsn))
        world = await build_world(ctx, drivers=4, policy=MarketPolicy(offer_ttl_seconds=600))
        openings = [Openings() for _ in world.drivers]
        socket_url = f"{house.url.replace('http', 'ws')}/v1/driver"
        clients = [
            await stack.enter_async_context(DriverClient(socket_url, token, f"phone-{number}", observer=seen))
            for number, (token, seen) in enumerate(zip(world.driver_tokens, openings, strict=True))
        ]
        traffic = Traffic(world, clients)
        async with traffic.flowing():
            await until(lambda: len(traffic.won) >= 2)
            before = {created.delivery_id for created in traffic.placed}
            won_before = set(traffic.won)
            page = traffic.placed[0]
            await house.type(block("deploy.md", kind))
            after_the_backup = await world.order()
        last_event_id = await position_of(house, page)
        assert len(traffic.placed) > len(before), "nothing happened during the backup"

        # The machine is lost, and with it everything since the backup.
        await house.lose()
        await house.type(block("deploy.md", f"restore {kind}"))
        house.data = house.home / "new"
        restored = await stack.enter_async_context(open_test_context(await house.start()))
        assert restored.epoch != ctx.epoch
        kept = {row["delivery_id"] for row in await restored.pool.fetch("select delivery_id from delivery")}
        assert before <= kept
        assert after_the_backup.delivery_id not in kept
        accepted = {
            str(r["offer_id"])
            for r in await restored.pool.fetch("select offer_id from offer where status = 'accepted'")
        }
        assert won_before <= accepted

        # Customers and phones notice, and start from what is true now.
        async with open_stream(house.url, token_of(page), last_event_id) as stream:
            position, reset, state = await stream.expect("position", "reset", "state")
            assert position.data["epoch"] == restored.epoch.hex
            assert reset.data["reason"] == "other_epoch"
            assert state.id is not None
            assert state.id.startswith(restored.epoch.hex)
        await until(lambda: all(client.connected for client in clients))
        assert all(seen.resumed[-1] is False for seen in openings)

        # And life goes on, with a driver who is not on the road yet.
        world.ctx = restored
        await world.add_drivers(1)
        fresh = await stack.enter_async_context(DriverClient(socket_url, world.driver_tokens[-1], "phone-fresh"))
        traffic = Traffic(world, [fresh])
        async with traffic.flowing():
            await until(lambda: bool(traffic.won))
        assert "clean" in (await house.type("flexlive audit")).lower()


async def position_of(house: House, created: DeliveryCreated) -> str:
    """The id of the last event that a customer's page has seen."""
    async with open_stream(house.url, token_of(created)) as stream:
        _, state = await stream.expect("position", "state")
    assert state.id is not None
    return state.id


async def until(happened: object) -> None:
    assert callable(happened)
    async with asyncio.timeout(SETTLED_SECONDS_MAX):
        while not happened():
            await asyncio.sleep(0.05)
