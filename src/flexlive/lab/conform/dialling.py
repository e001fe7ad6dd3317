"""A scenario's way to a socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from typing import Any
from urllib.parse import urlencode, urlsplit

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from flexlive.lab.conform.heard import Broken
from flexlive.lab.conform.phone import Phone
from flexlive.lab.conform.target import Target
from flexlive.protocol.limits import SUBPROTOCOL

FRAME_BYTES_MAX = 16 * 1024 * 1024
_devices = count(1)


@asynccontextmanager
async def dial(
    target: Target,
    token: str | None,
    *,
    device_id: str | None = None,
    headers: dict[str, str] | None = None,
    query: dict[str, str] | None = None,
    protocols: tuple[str, ...] = (SUBPROTOCOL,),
    compression: str | None = None,
    receive_buffer_bytes: int | None = None,
) -> AsyncGenerator[Phone]:
    """A socket that is up, closed at the end of the block. Broken when the handshake does not succeed."""
    fields = headers or ({} if token is None else {"Authorization": f"Bearer {token}"})
    url = target.socket_url + (f"?{urlencode(query)}" if query else "")
    narrow: dict[str, Any] = {} if receive_buffer_bytes is None else {"sock": await _narrow(url, receive_buffer_bytes)}
    try:
        connection = await connect(
            url,
            additional_headers=fields,
            subprotocols=[Subprotocol(each) for each in protocols] or None,
            compression=compression,
            proxy=None,
            ssl=target.tls(),
            ping_interval=None,
            open_timeout=target.answer_seconds_max,
            close_timeout=1.0,
            max_size=FRAME_BYTES_MAX,
            **narrow,
        )
    except (OSError, WebSocketException, TimeoutError, EOFError) as error:
        raise Broken(f"no WebSocket: {type(error).__name__}: {error}") from None
    try:
        yield Phone(connection, target, device_id or f"conform-{next(_devices)}-{datetime.now(UTC):%H%M%S%f}")
    finally:
        await asyncio.shield(connection.close())


async def _narrow(url: str, receive_buffer_bytes: int) -> socket.socket:
    # The window is agreed on when connecting, so the buffer must be small before.
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    port = parts.port or (443 if parts.scheme == "wss" else 80)
    [(family, kind, protocol, _, address), *_] = await loop.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    narrow = socket.socket(family, kind, protocol)
    narrow.setblocking(False)
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
    try:
        await loop.sock_connect(narrow, address)
    except OSError:
        narrow.close()
        raise
    return narrow
