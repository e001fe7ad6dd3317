"""HTTP/1.1 as uvicorn speaks it, with an end to what may come before there is a request.

Stock uvicorn keeps an address, a header or a trailer of any length in memory until it is complete, and waits for it
without end. Bodies have their size limit where they are read (`web/body`); how slowly one may come is decided here.
What is no request at all is answered from the catalogue too.
"""

from __future__ import annotations

import logging
from asyncio import TimerHandle, Transport
from collections.abc import Callable
from typing import Any, Final

import msgspec
from prometheus_client import Counter
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from flexlive.domain.errors import CATALOGUE, ErrorCode
from flexlive.protocol.problem import MEDIA_TYPE, Problem
from flexlive.web.errors import PROBLEM_TYPE_PREFIX

HEAD_BYTES_MAX: Final = 64 * 1024
HEAD_SECONDS_MAX: Final = 10.0
"""From the connection, or the first byte of a further request, to the end of its head."""
BODY_SECONDS_MAX: Final = 30.0
BODY_BYTES_PER_SECOND_MIN: Final = 1024
"""A body has BODY_SECONDS_MAX, and a second more for each so many bytes that have come."""
PIPELINED_REQUESTS_MAX: Final = 16
"""Sent before the answer to the first one: browsers send none, and stock uvicorn keeps any number of them."""

_LATE = Counter("flexlive_http_late_total", "Connections cut because a request came too slowly")
# A line for every port scanner is no news, and what it sent is nobody's business.
_log = logging.getLogger("flexlive.web.http")
_log.setLevel(logging.ERROR)


class HttpTransportProtocol(HttpToolsProtocol):
    """Counts what the parser has swallowed since it last told of something whole: a head, a piece of body, an end."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _log
        self._swallowed_bytes = 0
        self._told = False
        self._deadline: TimerHandle | None = None
        self._body_began_at = 0.0
        self._body_bytes = 0
        self._receiving = False

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._due_in(HEAD_SECONDS_MAX, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._in_time()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._told = False
        if not self._receiving and self._deadline is None:
            # The first bytes of another request on this connection.
            self._due_in(HEAD_SECONDS_MAX, self._late)
        super().data_received(data)
        self._swallowed_bytes = 0 if self._told else self._swallowed_bytes + len(data)
        if self._swallowed_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
            self._refuse(ErrorCode.TOO_LARGE, "address and headers together are too large")

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= PIPELINED_REQUESTS_MAX:
            # Whatever a callback raises ends the parser, and with it the connection.
            raise ValueError("too many requests at once")
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._told = True
        self._receiving, self._body_bytes, self._body_began_at = True, 0, self.loop.time()
        self._due_in(BODY_SECONDS_MAX, self._look_at_body)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._told = True
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._told = True
        self._receiving = False
        self._in_time()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        self._in_time()
        super().handle_websocket_upgrade()

    def _due_in(self, seconds: float, late: Callable[[], None]) -> None:
        self._in_time()
        self._deadline = self.loop.call_later(seconds, late)

    def _in_time(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _look_at_body(self) -> None:
        self._deadline = None
        allowed_until = self._body_began_at + BODY_SECONDS_MAX + self._body_bytes / BODY_BYTES_PER_SECOND_MIN
        # While we do not read, nobody can send.
        left_seconds = 1.0 if self.flow.read_paused else allowed_until - self.loop.time()
        if left_seconds > 0:
            self._due_in(left_seconds, self._look_at_body)
        else:
            self._late()

    def _late(self) -> None:
        """Whoever sends this slowly waits for no answer."""
        self._deadline = None
        if not self.transport.is_closing():
            _LATE.inc()
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 – it names the parser, not the mistake
        self._refuse(ErrorCode.INVALID, "not an HTTP request")

    def _refuse(self, code: ErrorCode, detail: str) -> None:
        entry = CATALOGUE[code]
        problem = Problem(
            type=PROBLEM_TYPE_PREFIX + code.value,
            title=entry.title,
            status=entry.http_status,
            detail=detail,
            code=code.value,
        )
        body = msgspec.json.encode(problem)
        head = f"HTTP/1.1 {entry.http_status} \r\nconnection: close\r\ncontent-type: {MEDIA_TYPE}\r\n"
        self.transport.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        self.transport.close()
