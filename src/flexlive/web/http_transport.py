"""HTTP/1.1 as uvicorn speaks it, with an end to what may come before there is a request.

Stock uvicorn keeps an address, a header or a trailer of any length in memory until it is complete. Bodies have their
limit where they are read (`web/body`). What is no request at all is answered from the catalogue too.
"""

from __future__ import annotations

import logging
from typing import Any, Final

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from flexlive.domain.errors import CATALOGUE, ErrorCode
from flexlive.protocol.problem import MEDIA_TYPE, Problem
from flexlive.web.errors import PROBLEM_TYPE_PREFIX

HEAD_BYTES_MAX: Final = 64 * 1024
PIPELINED_REQUESTS_MAX: Final = 16
"""Sent before the answer to the first one: browsers send none, and stock uvicorn keeps any number of them."""

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

    def data_received(self, data: bytes) -> None:
        self._told = False
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
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._told = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._told = True
        super().on_message_complete()

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
