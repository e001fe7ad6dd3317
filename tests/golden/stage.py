"""Where a transcript is played: a market of its own on a running server, and phones that only write and read."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from datetime import UTC, datetime
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from flexlive.domain.markets import MarketPolicy
from flexlive.protocol import merchant
from flexlive.protocol.limits import SUBPROTOCOL
from tests.golden.transcript import BY_TIME
from tests.support.http_server import Server
from tests.support.phones import eventually
from tests.support.world import World, build_world

WAIT_SECONDS_MAX = 20.0
QUIET_SECONDS = 0.05
POLICY = MarketPolicy(ring_widen_seconds=3600, offer_ttl_seconds=3600)
"""Nothing happens by itself while a transcript is played on a slow machine."""


class Wire:
    """One socket. Frames are kept in two queues: facts and control come in order, results in order, but a result and
    the facts it causes come as they like."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.ordered: deque[str] = deque()
        self.results: deque[str] = deque()
        self._came = asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    async def send(self, text: str) -> None:
        await self._socket.send(text)

    async def expect(self, *, result: bool) -> str:
        """The next frame of its queue. TimeoutError, or AssertionError when the socket ends before."""
        queue = self.results if result else self.ordered
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while not queue:
                assert not self._reader.done(), f"closed {self._socket.close_code} before that"
                self._came.clear()
                await self._came.wait()
        return queue.popleft()

    async def closed(self) -> int:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            await asyncio.shield(self._reader)
        return self._socket.close_code or 0

    async def lose(self) -> None:
        """As when the network goes: nothing is said any more."""
        self._reader.cancel()
        self._socket.transport.abort()

    def left(self) -> list[str]:
        return [*self.ordered, *self.results]

    async def _read(self) -> None:
        try:
            while True:
                text = await self._socket.recv(decode=True)
                type_ = json.loads(text)["type"]
                if type_ not in BY_TIME:
                    (self.results if type_ == "result" else self.ordered).append(text)
                self._came.set()
        except ConnectionClosed:
            self._came.set()


class Stage:
    def __init__(self, server: Server, world: World, drivers: list[str]) -> None:
        self.server, self.world, self._drivers = server, world, drivers

    async def connect(self, who: str) -> Wire:
        token = self.world.driver_tokens[self._drivers.index(who)]
        socket = await connect(
            self.server.url.replace("http://", "ws://") + "/v1/driver",
            additional_headers={"Authorization": f"Bearer {token}"},
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            proxy=None,
            close_timeout=0.5,
        )
        return Wire(socket)

    async def order(self, fields: dict[str, Any]) -> str:
        """The customer's PIN, or nothing."""
        wanted = dict(fields)
        if verification := wanted.pop("dropoff_verification", None):
            wanted["dropoff_verification"] = merchant.DropoffVerification(**verification)
        return (await self.world.order(**wanted)).pincode or ""

    async def post(self, who: str, device_id: str, command: str) -> str:
        """The same command by HTTP; the text of its 200."""
        headers = {
            "Authorization": f"Bearer {self.world.driver_tokens[self._drivers.index(who)]}",
            "Flexlive-Device": device_id,
            "Content-Type": "application/json",
        }
        answer = await self.server.http.post("/v1/driver/commands", content=command, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.text

    async def told(self, who: str, seq: int) -> None:
        """Wait until the server has given this fact to her session."""
        driver = self.world.drivers[self._drivers.index(who)]
        sessions = self.server.app.state.gateway.sessions

        def happened() -> bool:
            session = sessions.find(self.world.market_id, driver.driver_id)
            return session is not None and session.ring.last_seq >= seq

        await eventually(happened, WAIT_SECONDS_MAX)


async def set_stage(server: Server, market_id: str, drivers: list[str]) -> Stage:
    world = await build_world(server.ctx, drivers=len(drivers), market_id=market_id, policy=POLICY)
    return Stage(server, world, drivers)


def time_now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
