"""A scripted server over a real socket: each connection follows the next script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

Script = Callable[["Peer"], Awaitable[None]]
LIMITS = {
    "frame_bytes_max": 16384,
    "points_max": 100,
    "commands_burst_per_second": 10,
    "commands_per_minute": 120,
    "ack_delay_seconds_max": 1.0,
}


class Peer:
    """One connection as the script sees it."""

    def __init__(self, connection: ServerConnection) -> None:
        self.connection = connection
        self.request = connection.request

    async def receive(self) -> dict[str, Any]:
        return msgspec.json.decode(await self.connection.recv())

    async def command(self) -> dict[str, Any]:
        """The next frame that wants an answer."""
        while "cmd" not in (frame := await self.receive()):
            pass
        return frame

    async def send(self, **fields: Any) -> None:
        await self.connection.send(msgspec.json.encode(fields), text=True)

    async def welcome(self, seq: int = 0, results: tuple[Any, ...] = (), sid: str = "s1") -> dict[str, Any]:
        """Reads hello, answers with welcome and an empty snapshot; returns the hello."""
        hello = await self.receive()
        await self.send(
            type="welcome",
            sid=sid,
            epoch="e1",
            seq=seq,
            server_time="2026-01-01T00:00:00Z",
            heartbeat_seconds=25.0,
            resume_window_seconds=120.0,
            limits=LIMITS,
            results=results,
            unknown_commands=(),
        )
        await self.send(type="snapshot", seq=seq, presence="offline", routes=[], offers=[])
        return hello

    async def result(self, cmd: str, code: str = "ok", **fields: Any) -> None:
        await self.send(type="result", cmd=cmd, ok=code in ("ok", "won"), code=code, **fields)

    async def notice(self, seq: int) -> None:
        await self.send(
            seq=seq,
            type="notice",
            notice_id="0199aaaa-0000-7000-8000-000000000001",
            title="t",
            body=f"b{seq}",
            expires_at="2027-01-01T00:00:00Z",
        )

    async def close(self, code: int, reason: str = "") -> None:
        await self.connection.close(code, reason)

    async def until_gone(self) -> None:
        try:
            while True:
                await self.connection.recv()
        except ConnectionClosed:
            pass


@asynccontextmanager
async def scripted_server(*scripts: Script) -> AsyncGenerator[tuple[str, list[BaseException]]]:
    """Yields (url, failures of scripts). Connections beyond the scripts are closed 4001."""
    waiting, failures = list(scripts), list[BaseException]()

    async def handler(connection: ServerConnection) -> None:
        peer = Peer(connection)
        if not waiting:
            await peer.close(4001)
            return
        try:
            await waiting.pop(0)(peer)
        except (AssertionError, KeyError, TimeoutError) as error:
            failures.append(error)
        except ConnectionClosed:
            pass

    async with serve(handler, "127.0.0.1", 0, subprotocols=["flexlive.v1"], compression=None) as server:  # type: ignore[list-item]
        port = server.sockets[0].getsockname()[1]
        yield f"ws://127.0.0.1:{port}/v1/driver", failures
    await asyncio.sleep(0)
    assert not failures, failures
