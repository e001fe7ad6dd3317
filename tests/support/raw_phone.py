"""A driver's socket without a session behind it: the handshake, hello, and what came of them."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from flexlive.protocol import driver as wire
from flexlive.protocol.codec import encode_client

PATIENCE_SECONDS = 20.0
HELLO = encode_client(wire.Hello(app_version="test", device_id="d")).decode()


@asynccontextmanager
async def driver_socket_of(
    url: str, token: str = "", origin: str | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[ClientConnection]:
    async with connect(
        url.replace("http", "ws", 1) + "/v1/driver",
        additional_headers={"Authorization": f"Bearer {token}"} | ({} if origin is None else {"Origin": origin}),
        subprotocols=[Subprotocol(wire.SUBPROTOCOL)],
        proxy=None,
        ssl=tls,
        close_timeout=0.5,
    ) as opened:
        yield opened


async def outcome(opened: ClientConnection) -> str | int:
    """Type of the first frame after hello, or the close code that came instead."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await opened.send(HELLO)
            return json.loads(await opened.recv())["type"]
    except ConnectionClosed:
        return opened.close_code or 0
