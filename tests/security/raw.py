"""Bytes straight into a TCP connection: what no client library would send."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from flexlive.protocol.limits import SUBPROTOCOL

TEXT, BINARY, PING, CONTINUATION = 0x1, 0x2, 0x9, 0x0


@asynccontextmanager
async def connection(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def pour(writer: asyncio.StreamWriter, pieces: Iterable[bytes]) -> int:
    """How many bytes went out before the server had enough."""
    sent = 0
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            sent += len(piece)
    except ConnectionError:
        pass
    return sent


async def answer(reader: asyncio.StreamReader, seconds: float = 5.0) -> bytes:
    """Everything the server says until it closes, with a close frame or without; its reset counts as an end."""
    heard = bytearray()
    try:
        async with asyncio.timeout(seconds):
            while piece := await reader.read(65_536):
                heard += piece
                if close_code(bytes(heard)) is not None:
                    break
    except (TimeoutError, ConnectionError):
        pass
    return bytes(heard)


@asynccontextmanager
async def web_socket(url: str, token: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """After the handshake; nobody reads unless the test does."""
    async with connection(url) as (reader, writer):
        lines = [
            "GET /v1/driver HTTP/1.1",
            "host: localhost",
            "upgrade: websocket",
            "connection: Upgrade",
            "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==",
            "sec-websocket-version: 13",
            f"sec-websocket-protocol: {SUBPROTOCOL}",
            f"authorization: Bearer {token}",
        ]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        assert b" 101 " in head
        yield reader, writer


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0) -> bytes:
    """A client's frame, masked with zeros."""
    first = (0x80 if fin else 0) | reserved | opcode
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", first, 0x80 | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", first, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", first, 0x80 | 127, size)
    return head + b"\0\0\0\0" + payload


def close_code(heard: bytes) -> int | None:
    """The code of the close frame at the end of what a server said; None without one."""
    for size in range(2, 126):
        tail = heard[-size - 2 :]
        if len(tail) == size + 2 and tail[:2] == bytes((0x88, size)):
            return int.from_bytes(tail[2:4], "big")
    return None
