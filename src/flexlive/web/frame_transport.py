"""The seam to the ASGI server: what pushing one fact to thousands of sockets needs and plain ASGI does not offer.

A subclass of uvicorn's WebSocket protocol that hands itself to the app in `scope["extensions"]` as a FrameTransport:
pre-framed writes, the size of the write buffer, frames straight to a callback (stock uvicorn pauses and resumes
reading after every message). It closes 1007 quietly on bad UTF-8 and logs no paths, since they may carry tickets.

The attributes used are those of one pinned version; tests/contract/test_frame_transport_seam.py fails when it moves.
An app must work without the extension too (see web/links.py).
"""

from __future__ import annotations

import logging
from asyncio.transports import BaseTransport
from collections.abc import MutableMapping
from typing import Any, Final, Protocol, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode as WsCode
from websockets.frames import Frame
from websockets.http11 import Request
from websockets.protocol import State

from flexlive.protocol.close_codes import CloseCode
from flexlive.protocol.limits import FRAME_BYTES_MAX
from flexlive.protocol.rate_limit import TokenBucket

FRAMES_EXTENSION: Final = "flexlive.frames"
WRITE_BUFFER_PAUSE_BYTES: Final = 32 * 1024
CLOSE_ABORT_SECONDS: Final = 5.0
"""How long a closed socket may take to drain and answer before it is cut."""
AFTER_CLOSE_BYTES_MAX: Final = 256 * 1024
"""What may still be under way when we close; beyond it the socket is cut."""
FRAGMENTS_MAX: Final = 64
"""Of one message; no client splits 16 KiB into more."""
CONTROL_FRAMES_BURST: Final = 32
CONTROL_FRAMES_PER_SECOND: Final = 4
"""Pings and pongs of one socket: far above any proxy or browser."""

UVICORN_OPTIONS: Final[dict[str, Any]] = {
    "ws_max_size": FRAME_BYTES_MAX,
    "ws_per_message_deflate": False,
    # The driver protocol has its own heartbeat; pings would double it.
    "ws_ping_interval": None,
    # Request lines carry tracking tokens and tickets.
    "access_log": False,
}
"""What uvicorn.Config needs besides `ws=FrameTransportProtocol`."""

_log = logging.getLogger("flexlive.web.sockets")
_log.setLevel(logging.WARNING)


class FrameReceiver(Protocol):
    def frame_received(self, frame: str | bytes) -> None:
        """A whole message came in: text as str, binary as bytes. Synchronous; must not raise."""
        ...

    def drained(self) -> None:
        """The write buffer was above WRITE_BUFFER_PAUSE_BYTES and has emptied. Synchronous; must not raise."""
        ...


class FrameTransport(Protocol):
    """What the extension offers. Everything is synchronous and for the event loop's thread only."""

    pauses: int
    """How often the write buffer has grown beyond WRITE_BUFFER_PAUSE_BYTES."""

    def paused_seconds(self) -> float:
        """For how long it has been beyond; 0 when it is not."""
        ...

    def write_framed(self, data: bytes) -> bool:
        """Write whole WebSocket frames. False: the socket is closing and nothing was written."""
        ...

    def buffered_bytes(self) -> int:
        """Bytes the kernel has not taken yet."""
        ...

    def receive_with(self, receiver: FrameReceiver) -> None:
        """From now on messages go to the receiver; `receive()` only reports the disconnect."""
        ...

    def close_frames(self, code: int, reason: str) -> None:
        """Send a close frame and let go of the socket after CLOSE_ABORT_SECONDS at the latest. Idempotent."""
        ...


def frame_transport(scope: MutableMapping[str, Any]) -> FrameTransport | None:
    """The extension, if this server has it."""
    extensions: dict[str, Any] = scope.get("extensions") or {}
    return extensions.get(FRAMES_EXTENSION)


class FrameTransportProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol with the FrameTransport extension."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _log
        # At debug level websockets would log handshakes and payloads: tokens and coordinates.
        self.conn.logger = _log
        self.conn.debug = False
        self.pauses = 0
        self._paused_at: float | None = None
        self._receiver: FrameReceiver | None = None
        self._after_close_bytes = 0
        self._control_frames = TokenBucket(CONTROL_FRAMES_BURST, CONTROL_FRAMES_PER_SECOND, self.loop.time())

    # FrameTransport

    def write_framed(self, data: bytes) -> bool:
        if self.close_sent or not self.handshake_complete or self.conn.state is not State.OPEN:
            return False
        if self.transport.is_closing():
            return False
        self.transport.write(data)
        return True

    def buffered_bytes(self) -> int:
        return self.transport.get_write_buffer_size()

    def paused_seconds(self) -> float:
        return 0.0 if self._paused_at is None else self.loop.time() - self._paused_at

    def receive_with(self, receiver: FrameReceiver) -> None:
        self._receiver = receiver
        waiting = [self.queue.get_nowait() for _ in range(self.queue.qsize())]
        for message in waiting:
            if message["type"] == "websocket.receive":
                text = message.get("text")
                receiver.frame_received(text if text is not None else (message.get("bytes") or b""))
            else:
                self.queue.put_nowait(message)
        self._resume_reading()

    def close_frames(self, code: int, reason: str) -> None:
        if self.close_sent or self.conn.state is not State.OPEN or self.transport.is_closing():
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self._resume_reading()
        # The base class waits for this timer's connection to drain by itself; a phone that reads nothing never does.
        self.close_timer = self.loop.call_later(CLOSE_ABORT_SECONDS, self.transport.abort)

    # uvicorn's protocol

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_PAUSE_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._receiver = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self.pauses += 1
        self._paused_at = self.loop.time()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._paused_at = None
        if self._receiver is not None and not self.close_sent:
            self._receiver.drained()

    def data_received(self, data: bytes) -> None:
        if self.close_sent:
            # Until the peer's own close comes, or the time for it is over, little may come.
            self._after_close_bytes += len(data)
            if self._after_close_bytes > AFTER_CLOSE_BYTES_MAX:
                self.transport.abort()
                return
        super().data_received(data)

    def handle_cont(self, event: Frame) -> None:
        # A message is bounded in bytes only: empty fragments would pile up without end.
        if len(self.frames) >= FRAGMENTS_MAX:
            self.close_frames(WsCode.MESSAGE_TOO_BIG, "too many fragments")
        elif not self.close_sent:
            super().handle_cont(event)

    def handle_ping(self) -> None:
        pongs = self.conn.data_to_send()
        # RFC 6455 allows to answer only the latest ping: who does not read what we write gets none.
        if not self.close_sent and self._control_frame() and self._paused_at is None:
            self.transport.write(b"".join(pongs))

    def handle_pong(self, event: Frame) -> None:
        if not self.close_sent and self._control_frame():
            super().handle_pong(event)

    def handle_connect(self, event: Request) -> None:
        try:
            event.path.encode("ascii")
            for key, value in event.headers.raw_items():
                key.encode("ascii")
                value.encode("latin-1")
        except UnicodeEncodeError:
            self.transport.write(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            self.transport.close()
            return
        super().handle_connect(event)

    async def run_asgi(self) -> None:
        scope = cast("dict[str, Any]", self.scope)
        scope["extensions"][FRAMES_EXTENSION] = self
        await super().run_asgi()

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                text = b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.send_close(1007)
                self.handle_parser_exception()
                return
            if self._receiver is not None:
                self.frames = []
                self._receiver.frame_received(text)
                return
        elif self._receiver is not None and not self.close_sent:
            data, self.frames = b"".join(self.frames), []
            self._receiver.frame_received(data)
            return
        super().send_receive_event_to_app()

    def _control_frame(self) -> bool:
        if self._control_frames.take(self.loop.time()):
            return True
        self.close_frames(CloseCode.RATE_LIMITED, "rate limited")
        return False

    def _resume_reading(self) -> None:
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
