"""A driver's phone over a real socket: the client's pure session with nothing between it and the frames."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TypeVar

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from flexlive.protocol import driver as wire
from flexlive.protocol.client_session import Answered, Applied, ClientSession, Effect, Opened, SendFrame, Violation
from flexlive.protocol.codec import encode_client, fact_template
from flexlive.realtime.hub import HubFact

T = TypeVar("T")
WAIT_SECONDS_MAX = 20.0


class Phone:
    """messages: everything applied, in order. violations stay empty as long as the server keeps the protocol."""

    def __init__(self, device_id: str = "phone-1") -> None:
        self.session = ClientSession(app_version="test", device_id=device_id)
        self.messages: list[wire.ServerMessage] = []
        self.frames: list[bytes] = []
        self.results: dict[str, wire.Result] = {}
        self.violations: list[str] = []
        self.resumed: bool | None = None
        self._socket: ClientConnection | None = None

    @property
    def socket(self) -> ClientConnection:
        assert self._socket is not None
        return self._socket

    @asynccontextmanager
    async def connected(
        self, url: str, token: str, at: tuple[float, float] | None = None, *, opened: bool = True
    ) -> AsyncIterator[Phone]:
        """One connection; opened: return only when the session is live."""
        async with connect(
            url.replace("http://", "ws://") + "/v1/driver",
            additional_headers={"Authorization": f"Bearer {token}"},
            subprotocols=[Subprotocol(wire.SUBPROTOCOL)],
            proxy=None,
            close_timeout=0.5,
        ) as self._socket:
            self.resumed = None
            await self.send(self.session.open(None if at is None else point(at), self.now))
            if opened:
                await self.until(lambda: self.resumed is not None)
            try:
                yield self
            finally:
                self.session.lost(self.now)

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def send(self, frame: bytes | wire.ClientMessage) -> None:
        data = frame if isinstance(frame, bytes) else encode_client(frame)
        await self.socket.send(data.decode())

    async def command(self, command: wire.Command) -> wire.Result:
        """Send a command and read on until its answer."""
        await self._carry_out(self.session.command(command, self.now))
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while (result := self.results.pop(command.cmd, None)) is None:
                try:
                    async with asyncio.timeout(0.5):
                        await self.read()
                except TimeoutError:
                    # Its turn may only have come now: a phone keeps to the pace it was told.
                    await self.acknowledge()
        return result

    async def until(self, happened: Callable[[], T | None], seconds: float = WAIT_SECONDS_MAX) -> T:
        """Read frames until it happened; ConnectionClosed when the socket ends before."""
        async with asyncio.timeout(seconds):
            while not (value := happened()):
                await self.read()
        return value

    async def read(self) -> None:
        """One frame."""
        frame = await self.socket.recv(decode=False)
        self.frames.append(frame)
        await self._carry_out(self.session.received(frame, self.now, 0.0))

    async def read_quietly(self, seconds: float) -> None:
        """Whatever comes within this time."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    await self.read()
        except TimeoutError:
            pass

    async def acknowledge(self) -> None:
        await self._carry_out(self.session.tick(self.now))

    async def closed(self) -> tuple[int, str]:
        """Read until the server closes; its code and reason."""
        with contextlib.suppress(ConnectionClosed):
            await self.until(lambda: None)
        return self.socket.close_code or 0, self.socket.close_reason or ""

    def got(self, kind: type[T]) -> list[T]:
        return [message for message in self.messages if isinstance(message, kind)]

    async def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case SendFrame(data=data):
                    await self.send(data)
                case Applied(message=message):
                    self.messages.append(message)
                case Answered(result=result):
                    self.results[result.cmd] = result
                case Opened(resumed=resumed):
                    self.resumed = resumed
                case Violation(text=text):
                    self.violations.append(text)
                case _:
                    pass


def point(at: tuple[float, float]) -> wire.Point:
    return wire.Point(lat=at[0], lon=at[1], at=datetime.now(UTC), accuracy_m=5)


async def eventually(happened: Callable[[], object], seconds: float = WAIT_SECONDS_MAX) -> None:
    """Wait for the server's side of something; TimeoutError when it does not happen."""
    async with asyncio.timeout(seconds):
        while not happened():
            await asyncio.sleep(0.01)


def notice(number: int, size_bytes: int = 10) -> HubFact:
    """A fact that can be pushed without a database."""
    body = msgspec.json.encode(
        {"notice_id": f"00000000-0000-7000-8000-{number:012d}", "title": "t", "body": "x" * size_bytes,
         "expires_at": "2030-01-01T00:00:00Z"}
    )  # fmt: skip
    return HubFact("notice", number, datetime.now(UTC), body, fact_template("notice", body))
