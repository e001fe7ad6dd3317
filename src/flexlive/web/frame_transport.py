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
from websockets.http11 import Request
from websockets.protocol import State

from flexlive.protocol.limits import FRAME_BYTES_MAX

FRAMES_EXTENSION: Final = "flexlive.frames"
WRITE_BUFFER_PAUSE_BYTES: Final = 32 * 1024
CLOSE_ABORT_SECONDS: Final = 5.0
"""How long a closed socket may take to drain and answer before it is cut."""

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

    def _resume_reading(self) -> None:
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
