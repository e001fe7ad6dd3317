"""What comes without end is cut off: the server's memory stays where it was and the phone beside works on."""

from __future__ import annotations

import asyncio
from itertools import repeat

import httpx
import pytest

from flexlive.protocol.close_codes import CloseCode
from tests.security import raw
from tests.security.conftest import Live
from tests.security.phones import good_phone

FLOOD_BYTES = 24 * 1024 * 1024
GROWTH_BYTES_MAX = 8 * 1024 * 1024
"""Far below a flood kept in memory, above the noise of an allocator."""
PIECE = 64 * 1024

REQUEST = b"POST /v1/deliveries HTTP/1.1\r\nhost: x\r\n"
HEADS = {
    "an address": (b"GET /", b"a" * PIECE),
    "one header": (b"GET / HTTP/1.1\r\nx: ", b"a" * PIECE),
    "many headers": (b"GET / HTTP/1.1\r\n", b"x: y\r\n" * (PIECE // 6)),
    "a header's name": (b"GET / HTTP/1.1\r\n", b"x" * PIECE),
    "a trailer": (REQUEST + b"transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx: ", b"a" * PIECE),
    "many trailers": (REQUEST + b"transfer-encoding: chunked\r\n\r\n0\r\n", b"x: y\r\n" * (PIECE // 6)),
    "a chunk's extension": (REQUEST + b"transfer-encoding: chunked\r\n\r\n1;a=", b"a" * PIECE),
    "a body": (REQUEST + b"content-length: 999999999\r\n\r\n", b"a" * PIECE),
    "chunks": (REQUEST + b"transfer-encoding: chunked\r\n\r\n", b"10000\r\n" + b"a" * 0x10000 + b"\r\n"),
    "pipelined requests": (b"", b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n" * (PIECE // 32)),
}


@pytest.mark.parametrize("what", HEADS)
async def test_a_request_without_end(live: Live, what: str) -> None:
    opening, piece = HEADS[what]
    before = live.rss_bytes()
    async with good_phone(live), raw.connection(live.url) as (_, writer), asyncio.timeout(20):
        writer.write(opening)
        await raw.pour(writer, repeat(piece, FLOOD_BYTES // len(piece)))
        assert live.rss_bytes() - before < GROWTH_BYTES_MAX
    assert live.complaints() == []


FRAMES = {
    "fragments": [raw.frame(raw.TEXT, b"{", fin=False), raw.frame(raw.CONTINUATION, b" " * 100, fin=False) * 600],
    "empty fragments": [raw.frame(raw.TEXT, b"{", fin=False), raw.frame(raw.CONTINUATION, fin=False) * 10_000],
    "pings nobody reads the answers of": [b"", raw.frame(raw.PING, b"p" * 125) * 500],
    "a frame of 1 MiB": [b"", raw.frame(raw.TEXT, b" " * 1024 * 1024)],
    "binary frames": [b"", raw.frame(raw.BINARY, b"\0" * 16_000)],
    "frames after a bad one": [raw.frame(raw.TEXT, b"\xff"), raw.frame(raw.TEXT, b" " * 16_000)],
}


@pytest.mark.parametrize("hello", [True, False], ids=["after hello", "before hello"])
@pytest.mark.parametrize("what", FRAMES)
async def test_frames_without_end(live: Live, what: str, hello: bool) -> None:
    opening, piece = FRAMES[what]
    before = live.rss_bytes()
    token = live.cast.here.driver_tokens[0]
    async with good_phone(live), raw.web_socket(live.url, token) as (_, writer), asyncio.timeout(20):
        if hello:
            writer.write(raw.frame(raw.TEXT, b'{"type":"hello","app_version":"1","device_id":"bad"}'))
        writer.write(opening)
        # Nothing is read: whatever the server writes stays with it.
        pouring = asyncio.create_task(raw.pour(writer, repeat(piece, FLOOD_BYTES // len(piece))))
        await asyncio.wait({pouring}, timeout=4)
        assert live.rss_bytes() - before < GROWTH_BYTES_MAX
        pouring.cancel()
        await asyncio.gather(pouring, return_exceptions=True)
    assert live.complaints() == []


@pytest.mark.parametrize(
    ("piece", "code"),
    [
        (raw.frame(raw.TEXT, b" " * 1024 * 1024), 1009),
        (raw.frame(raw.TEXT, b" " * 17_000), 1009),
        (raw.frame(raw.TEXT, b'{"type":"\xff"}'), 1007),
        (raw.frame(raw.TEXT, b"\xed\xa0\x80"), 1007),
        (raw.frame(raw.CONTINUATION, b"x"), 1002),
        (raw.frame(raw.TEXT, b"x", reserved=0x40), 1002),
        (raw.frame(0x3, b"x"), 1002),
        (raw.frame(raw.PING, b"x" * 126), 1002),
        (raw.frame(raw.PING, b"x", fin=False), 1002),
        (b"\x81\x05hello", 1002),
        (raw.frame(0x8, b"\x03"), 1002),
        (raw.frame(raw.TEXT, b'{"type":"ack","seq":1}'), CloseCode.PROTOCOL_VIOLATION),
    ],
)
async def test_what_is_no_frame_ends_the_socket_with_a_code(live: Live, piece: bytes, code: int) -> None:
    async with raw.web_socket(live.url, live.cast.here.driver_tokens[0]) as (reader, writer):
        writer.write(piece)
        assert raw.close_code(await raw.answer(reader)) == code
    assert live.complaints() == []


NO_REQUESTS = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET  HTTP/1.1\r\n\r\n",
    b"GET /\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n",
    b"GET http:// HTTP/1.1\r\nhost: x\r\n\r\n",
    b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
    b"POST /v1/deliveries HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    b"POST /v1/deliveries HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    b"GET / HTTP/1.1\r\nx\0y: 1\r\n\r\n",
    b"GET / HTTP/1.1\r\n x: folded\r\n\r\n",
    b"GET /v1/track/%ff%fe%00 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    b"GET /v1/driver HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    b"GET /v1/driver HTTP/1.1\r\nhost: x\r\nupgrade: h2c\r\nconnection: upgrade, close\r\n\r\n",
    b"GET /v1/driver HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-key: x\r\n"
    b"sec-websocket-version: 99\r\nauthorization: Bearer \xff\xfe\r\n\r\n",
]


@pytest.mark.parametrize("request_bytes", NO_REQUESTS)
async def test_what_is_no_request_is_refused(live: Live, request_bytes: bytes) -> None:
    async with raw.connection(live.url) as (reader, writer):
        writer.write(request_bytes)
        writer.write_eof()
        heard = await raw.answer(reader)
    status = int(heard.split(b" ", 2)[1])
    assert 400 <= status < 500
    if b"application/problem+json" not in heard:
        # The WebSocket library refuses a handshake in its own words, and /v1/driver asks to upgrade.
        assert b"GET /v1/driver" in request_bytes
    assert live.complaints() == []


async def test_made_up_tokens_and_addresses_leave_nothing_behind(live: Live) -> None:
    from flexlive.web.rate_limit import CLIENTS_MAX, TOKENS_MAX, RateLimit

    now = 0.0
    limit = RateLimit(10, clock=lambda: now)
    for number in range(CLIENTS_MAX + 10):
        limit.count(str(number))
    assert len(limit._counts) == CLIENTS_MAX
    now = 61.0
    assert limit.count("a") == (9, 60)
    assert len(limit._counts) == 1
    for number in range(TOKENS_MAX + 10):
        limit.good(str(number))
    assert len(limit._good_tokens) == TOKENS_MAX


async def test_a_made_up_token_is_no_new_client(live: Live) -> None:
    from tests.support.http_server import serve

    async with serve(live.database_url, http=_few()) as server:
        good = server.bearer(live.cast.ops_token)
        first = await server.http.get("/v1/ops/markets", headers=good)
        assert first.status_code == 200
        # A token that was not known yet counts for the address, as what the harness asked before does.
        left = int(first.headers["ratelimit-remaining"])
        codes = [
            (await server.http.get("/v1/ops/markets", headers=server.bearer(f"made-up-{number}"))).status_code
            for number in range(8)
        ]
        assert codes == [401] * left + [429] * (8 - left)
        # Whoever was good before does not suffer from it.
        assert (await server.http.get("/v1/ops/markets", headers=good)).status_code == 200


def _few() -> object:
    from flexlive.web.limits import HttpOptions

    return HttpOptions(requests_per_minute_max=5)


async def test_a_thousand_streams_of_one_link_are_not_a_thousand(live: Live) -> None:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=live.url, limits=limits, trust_env=False) as http:
        path = f"/v1/track/{live.cast.there.track_token}/events"
        opened = [await http.send(http.build_request("GET", path), stream=True) for _ in range(14)]
        try:
            assert [each.status_code for each in opened] == [200] * 10 + [429] * 4
        finally:
            await asyncio.gather(*(each.aclose() for each in opened))
    assert live.complaints() == []


async def test_who_hangs_up_within_a_body_is_no_mistake_of_ours(live: Live) -> None:
    from tests.security.endpoints import credentials, endpoints, filled, values_of

    for endpoint in endpoints():
        if endpoint.body is None:
            continue
        head = [
            f"{endpoint.method} {filled(endpoint, values_of(live.cast.here))} HTTP/1.1",
            "host: x",
            "content-length: 1000",
            "content-type: application/json",
            f"authorization: Bearer {credentials(live.cast, endpoint)}",
        ]
        async with raw.connection(live.url) as (_, writer):
            writer.write(("\r\n".join(head) + '\r\n\r\n{"half":').encode())
            await writer.drain()
            await asyncio.sleep(0.01)
    async with httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(f"{live.url}/livez")).status_code == 200
    assert live.complaints() == []
