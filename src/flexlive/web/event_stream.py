"""Server-sent events as a response: one writer, one watcher for the client's going, nothing left when either ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Final

import anyio
from litestar import Response
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

MEDIA_TYPE: Final = "text/event-stream"
STALLED_SECONDS_MAX: Final = 30.0
"""How long one write may wait for a client that does not read."""

HEADERS: Final = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex, nofollow",
    "x-content-type-options": "nosniff",
    "x-accel-buffering": "no",
}

HEARTBEAT: Final = b": hb\n\n"


def event(name: str, data: bytes, event_id: str | None = None) -> bytes:
    """One event. data is one line, as JSON is."""
    head = f"id: {event_id}\nevent: {name}\ndata: " if event_id is not None else f"event: {name}\ndata: "
    return head.encode() + data + b"\n\n"


def retry(after_ms: int) -> bytes:
    """How long a browser waits before it comes back."""
    return b"retry: %d\n\n" % after_ms


class _StreamedBody(ASGIResponse):
    __slots__ = ("chunks", "closed")
    _should_set_content_length = False

    def __init__(self, chunks: AsyncGenerator[bytes], closed: Callable[[], None], headers: dict[str, Any]) -> None:
        super().__init__(media_type=MEDIA_TYPE, headers=headers)
        self.chunks = chunks
        self.closed = closed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.closed()

    async def send_body(self, send: Send, receive: Receive) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_watch, receive, tasks.cancel_scope)
            await self._write(send)
            tasks.cancel_scope.cancel()

    async def _write(self, send: Send) -> None:
        async with aclosing(self.chunks) as chunks:
            async for chunk in chunks:
                with anyio.move_on_after(STALLED_SECONDS_MAX) as waiting:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                if waiting.cancelled_caught:
                    # Nobody reads; the server closes the connection of a response that was not completed.
                    return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _watch(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


class EventStream(Response[bytes]):
    """chunks: encoded events. closed: called exactly once, however the stream ends."""

    def __init__(self, chunks: AsyncGenerator[bytes], closed: Callable[[], None]) -> None:
        super().__init__(b"", media_type=MEDIA_TYPE, headers=HEADERS)
        self._chunks = chunks
        self._closed = closed

    def to_asgi_response(self, *_: Any, headers: dict[str, str] | None = None, **__: Any) -> ASGIResponse:
        return _StreamedBody(self._chunks, self._closed, {**(headers or {}), **self.headers})
