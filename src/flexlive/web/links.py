"""How frames reach one phone: through the server's transport extension, or through plain ASGI. Same behaviour,
different price; the driver socket does not know which it has."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, Protocol

from flexlive.protocol.codec import FactTemplate, splice_framed, splice_seq, text_frame_header
from flexlive.web.frame_transport import CLOSE_ABORT_SECONDS, FrameReceiver, FrameTransport, frame_transport

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

CLOSE_REASON_BYTES_MAX: Final = 123
"""RFC 6455: a control frame's payload is at most 125 bytes, two of them the code."""


class Link(Protocol):
    """One socket, outbound. Synchronous; writes after the end are dropped."""

    def send(self, payload: bytes) -> None: ...

    def send_fact(self, template: FactTemplate, seq: int) -> None: ...

    def buffered_bytes(self) -> int: ...

    def stalled_seconds(self) -> float:
        """For how long the phone has been taking less than is written; 0 while it keeps up."""
        ...

    def close(self, code: int, reason: str) -> None: ...

    async def run(self, receiver: FrameReceiver) -> None:
        """Hand every inbound message to the receiver until the socket is gone."""
        ...


def link_for(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> Link:
    """The best link this server offers, for a socket that has been accepted."""
    transport = frame_transport(scope)
    return FramedLink(transport, receive) if transport is not None else AsgiLink(receive, send)


class FramedLink:
    """Over the transport extension: a frame is one write."""

    __slots__ = ("_receive", "_transport")

    def __init__(self, transport: FrameTransport, receive: Receive) -> None:
        self._transport = transport
        self._receive = receive

    def send(self, payload: bytes) -> None:
        self._transport.write_framed(text_frame_header(len(payload)) + payload)

    def send_fact(self, template: FactTemplate, seq: int) -> None:
        self._transport.write_framed(splice_framed(template, seq))

    def buffered_bytes(self) -> int:
        return self._transport.buffered_bytes()

    def stalled_seconds(self) -> float:
        return self._transport.paused_seconds()

    def close(self, code: int, reason: str) -> None:
        self._transport.close_frames(code, _short(reason))

    async def run(self, receiver: FrameReceiver) -> None:
        self._transport.receive_with(receiver)
        while (await self._receive())["type"] != "websocket.disconnect":
            pass


class AsgiLink:
    """Over plain ASGI: a queue and a task that empties it."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._stalled_since: float | None = None
        self._closing: Message | None = None
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def send(self, payload: bytes) -> None:
        if self._closing is not None:
            return
        if self._stalled_since is None:
            self._stalled_since = self._loop.time()
        self._queue.append(payload)
        self._queued_bytes += len(payload)
        self._wake.set()

    def send_fact(self, template: FactTemplate, seq: int) -> None:
        self.send(splice_seq(template, seq))

    def buffered_bytes(self) -> int:
        return self._queued_bytes

    def stalled_seconds(self) -> float:
        return 0.0 if self._stalled_since is None else self._loop.time() - self._stalled_since

    def close(self, code: int, reason: str) -> None:
        if self._closing is None:
            self._closing = {"type": "websocket.close", "code": code, "reason": _short(reason)}
            self._wake.set()

    async def run(self, receiver: FrameReceiver) -> None:
        reader = asyncio.create_task(self._read(receiver))
        writer = asyncio.create_task(self._write(receiver))
        try:
            await asyncio.wait((reader, writer), return_when=asyncio.FIRST_COMPLETED)
        finally:
            reader.cancel()
            writer.cancel()
            await asyncio.gather(reader, writer, return_exceptions=True)

    async def _read(self, receiver: FrameReceiver) -> None:
        while (message := await self._receive())["type"] != "websocket.disconnect":
            text = message.get("text")
            receiver.frame_received(text if text is not None else message.get("bytes") or b"")

    async def _write(self, receiver: FrameReceiver) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue and self._closing is None:
                payload = self._queue.popleft()
                await self._send({"type": "websocket.send", "text": payload.decode()})
                self._queued_bytes -= len(payload)
                self._stalled_since = self._loop.time() if self._queue else None
                if not self._queue:
                    receiver.drained()
            if self._closing is not None:
                # What is still queued goes first when the phone takes it; a stalled one is let go.
                async with asyncio.timeout(CLOSE_ABORT_SECONDS):
                    for payload in self._queue:
                        await self._send({"type": "websocket.send", "text": payload.decode()})
                    await self._send(self._closing)
                return


def _short(reason: str) -> str:
    return reason.encode()[:CLOSE_REASON_BYTES_MAX].decode(errors="ignore")
