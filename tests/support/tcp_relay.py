"""A stretch of network between a browser and the server that a test can cut, freeze and listen to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

CHUNK_BYTES = 64 * 1024


class TcpRelay:
    """heard: every byte the server has sent through, in order of arrival. port: where to connect to."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._writers: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._refusing = False
        self.heard = bytearray()
        self.port = 0

    def cut(self) -> None:
        """Every connection breaks, new ones are refused."""
        self._refusing = True
        for writer in tuple(self._writers):
            writer.transport.abort()

    def freeze(self) -> None:
        """Connections stay, but nothing comes through: silence, as in a lift."""
        self._flowing.clear()

    def restore(self) -> None:
        self._refusing = False
        self._flowing.set()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        pair = {writer, server_writer}
        self._writers |= pair
        try:
            await asyncio.gather(
                self._carry(reader, server_writer, listen=False), self._carry(server_reader, writer, listen=True)
            )
        finally:
            self._writers -= pair
            for each in pair:
                each.transport.abort()

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, listen: bool) -> None:
        with suppress(OSError):
            while chunk := await source.read(CHUNK_BYTES):
                await self._flowing.wait()
                if listen:
                    self.heard += chunk
                sink.write(chunk)
                await sink.drain()
            if sink.can_write_eof():
                sink.write_eof()


@asynccontextmanager
async def relay_to(port: int) -> AsyncIterator[TcpRelay]:
    relay = TcpRelay(port)
    listening = await asyncio.start_server(relay.take, "127.0.0.1", 0)
    relay.port = listening.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        listening.close()
        relay.restore()
        relay.cut()
