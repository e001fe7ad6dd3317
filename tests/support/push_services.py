"""Stand-ins of the push services on loopback: TLS, HTTP/2 where the client asks for it (as Apple's does) and HTTP/1.1,
with the addresses, bodies and refusals of the real ones.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import h11
import trustme


@dataclass(frozen=True)
class Request:
    """One request as it came in. http_version: `1.1` or `2`."""

    path: str
    headers: dict[str, str]
    body: bytes
    http_version: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """What is answered. status None: never, nor to anything else on this connection; with hang_up it ends."""

    status: int | None
    body: object = None
    headers: tuple[tuple[str, str], ...] = ()
    hang_up: bool = False

    @property
    def content(self) -> bytes:
        return b"" if self.body is None else json.dumps(self.body).encode()


@dataclass
class PushServices:
    """answers: what the next requests get, in order; afterwards everything is accepted. authority: PEM of the one who
    vouches for the stand-ins."""

    authority: Path
    port: int = 0
    requests: list[Request] = field(default_factory=list)
    answers: deque[Answer] = field(default_factory=deque)
    tokens_issued: int = 0
    token_answers: deque[Answer] = field(default_factory=deque)

    @property
    def tls(self) -> ssl.SSLContext:
        """Trusts the stand-ins and nobody else."""
        return ssl.create_default_context(cafile=str(self.authority))

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def answer(self, request: Request) -> Answer:
        if request.path == "/token":
            self.tokens_issued += 1
            token = {"access_token": f"ya29.{self.tokens_issued}", "expires_in": 3600, "token_type": "Bearer"}
            return self.token_answers.popleft() if self.token_answers else Answer(200, token)
        self.requests.append(request)
        if self.answers:
            return self.answers.popleft()
        if request.path.endswith("/messages:send"):
            return Answer(200, {"name": "projects/flexlive-test/messages/1"})
        return Answer(200 if request.path.startswith("/3/device/") else 201)


@asynccontextmanager
async def push_services(folder: Path) -> AsyncIterator[PushServices]:
    """Running until the block ends. folder: for the certificate of the authority."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    services = PushServices(folder / "authority.pem")
    authority.cert_pem.write_to_path(str(services.authority))
    connections: set[asyncio.Transport] = set()
    server = await asyncio.get_running_loop().create_server(
        lambda: _Connection(services, connections), "127.0.0.1", 0, ssl=context
    )
    services.port = server.sockets[0].getsockname()[1]
    try:
        yield services
    finally:
        server.close()
        for transport in list(connections):
            transport.abort()
        await server.wait_closed()


class _Connection(asyncio.Protocol):
    def __init__(self, services: PushServices, connections: set[asyncio.Transport]) -> None:
        self._services, self._connections = services, connections
        self._hangs = False

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.Transport = transport
        self._connections.add(transport)
        spoken = transport.get_extra_info("ssl_object").selected_alpn_protocol()
        self._speaker: _Http2 | _Http11 = (_Http2 if spoken == "h2" else _Http11)(self._take)
        transport.write(self._speaker.data_to_send())

    def data_received(self, data: bytes) -> None:
        if self._hangs:
            return
        self._speaker.receive(data)
        if not self._transport.is_closing():
            self._transport.write(self._speaker.data_to_send())

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self._transport)

    def _take(self, request: Request) -> Answer:
        answer = self._services.answer(request)
        self._hangs = answer.status is None
        if answer.hang_up:
            self._transport.abort()
        return answer


class _Http2:
    def __init__(self, take: Any) -> None:
        self._take = take
        self._connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self._connection.initiate_connection()
        self._open: dict[int, tuple[dict[str, str], bytearray]] = {}

    def data_to_send(self) -> bytes:
        return self._connection.data_to_send()

    def receive(self, data: bytes) -> None:
        for event in self._connection.receive_data(data):
            match event:
                case h2.events.RequestReceived(stream_id=stream, headers=headers):
                    self._open[stream] = {_text(name): _text(value) for name, value in headers}, bytearray()
                case h2.events.DataReceived(stream_id=stream, data=body, flow_controlled_length=length):
                    self._open[stream][1].extend(body)
                    self._connection.acknowledge_received_data(length, stream)
                case h2.events.StreamEnded(stream_id=stream):
                    self._answer(stream)
                case _:
                    pass

    def _answer(self, stream: int) -> None:
        headers, body = self._open.pop(stream)
        answer = self._take(Request(headers[":path"], headers, bytes(body), "2"))
        if answer.status is None:
            return
        told = [(":status", str(answer.status)), *answer.headers]
        if "apns-id" in headers:
            told.append(("apns-id", headers["apns-id"]))
        self._connection.send_headers(stream, told, end_stream=not answer.content)
        if answer.content:
            self._connection.send_data(stream, answer.content, end_stream=True)


class _Http11:
    def __init__(self, take: Any) -> None:
        self._take = take
        self._connection = h11.Connection(h11.SERVER)
        self._request: h11.Request | None = None
        self._body, self._out = bytearray(), bytearray()

    def data_to_send(self) -> bytes:
        out, self._out = bytes(self._out), bytearray()
        return out

    def receive(self, data: bytes) -> None:
        self._connection.receive_data(data)
        while True:
            match event := self._connection.next_event():
                case h11.Request():
                    self._request, self._body = event, bytearray()
                case h11.Data():
                    self._body.extend(event.data)
                case h11.EndOfMessage():
                    self._answer()
                case _:
                    return

    def _answer(self) -> None:
        assert self._request is not None
        headers = {_text(name): _text(value) for name, value in self._request.headers}
        answer = self._take(Request(_text(self._request.target), headers, bytes(self._body), "1.1"))
        if answer.status is None:
            return
        told = [*answer.headers, ("content-type", "application/json"), ("content-length", str(len(answer.content)))]
        parts = (h11.Response(status_code=answer.status, headers=told), h11.Data(answer.content), h11.EndOfMessage())
        for part in parts:
            self._out += self._connection.send(part) or b""
        self._connection.start_next_cycle()


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
