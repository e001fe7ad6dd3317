"""An ASGI app that sends back what comes, as the same kind of message; over the frame transport where there is one."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from flexlive.protocol.codec import text_frame_header
from flexlive.web.frame_transport import FrameTransport, frame_transport


class Echo:
    """The app; and per connection the receiver."""

    def __init__(self, transport: FrameTransport | None = None) -> None:
        self._transport = transport

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        transport = frame_transport(scope)
        if transport is None:
            await _over_asgi(receive, send)
            return
        transport.receive_with(Echo(transport))
        while (await receive())["type"] != "websocket.disconnect":
            pass

    def frame_received(self, frame: str | bytes) -> None:
        assert self._transport is not None
        payload = frame.encode() if isinstance(frame, str) else frame
        header = bytearray(text_frame_header(len(payload)))
        header[0] = 0x81 if isinstance(frame, str) else 0x82
        self._transport.write_framed(bytes(header) + payload)

    def drained(self) -> None:
        pass


async def _over_asgi(receive: Callable[[], Awaitable[Any]], send: Any) -> None:
    while (message := await receive())["type"] != "websocket.disconnect":
        kind = "text" if message.get("text") is not None else "bytes"
        with contextlib.suppress(OSError, RuntimeError):
            await send({"type": "websocket.send", kind: message[kind]})
