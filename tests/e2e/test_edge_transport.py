"""Below the application: how slowly a request may come, TLS, proxies, and the order of stopping."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import trustme
from websockets.exceptions import ConnectionClosed

from flexlive import serving
from flexlive.protocol.close_codes import CloseCode
from flexlive.settings import Settings
from flexlive.web import http_transport
from flexlive.web.limits import HttpOptions
from flexlive.web.listening import listen
from tests.support.http_server import Server, serve
from tests.support.raw_phone import PATIENCE_SECONDS, driver_socket_of, outcome
from tests.support.world import LAZY_POOL, build_world, open_test_context

# How slowly a request may come


@pytest.fixture
async def server(database_url: str) -> AsyncIterator[Server]:
    async with serve(database_url) as running:
        yield running


async def drip(port: int, pieces: list[bytes], pause_seconds: float) -> bytes:
    """Send the pieces one after another; what came back until the server closed. TimeoutError when it did not."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = bytearray()

    async def read() -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                answer.extend(data)

    reading = asyncio.create_task(read())
    with contextlib.suppress(ConnectionError):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_seconds)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await reading
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return bytes(answer)


async def test_a_head_or_a_body_that_drips_is_cut(server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http_transport, "HEAD_SECONDS_MAX", 0.5)
    monkeypatch.setattr(http_transport, "BODY_SECONDS_MAX", 0.5)
    monkeypatch.setattr(http_transport, "BODY_BYTES_PER_SECOND_MIN", 1)
    port = int(server.url.rpartition(":")[2])
    head = b"POST /v1/driver/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    dripping = [b"x-%d: y\r\n" % number for number in range(9)]
    whole = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"
    upgrade = b"GET /v1/driver HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    cases = await asyncio.gather(
        drip(port, [], 0.5),
        drip(port, [head, *dripping], 0.1),
        drip(port, [whole, head, *dripping], 0.1),
        drip(port, [upgrade, *dripping], 0.1),
        drip(port, [head + b"content-length: 99\r\n\r\n", b"", b"", b"", b"", b"", b"", b"", b""], 0.1),
    )  # fmt: skip
    assert [b"200" in answer[:20] for answer in cases] == [False, False, True, False, False]
    # Whoever makes progress is waited for: here a second for each byte.
    body = b'{"market_id":"testville","phone":"+17025550100","code":"123456"}'
    pieces = [
        head + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body),
        body[:30],
        b"",
        b"",
        b"",
        b"",
        b"",
        b"",
        body[30:],
    ]
    answer = await drip(port, pieces, 0.2)
    assert answer.startswith(b"HTTP/1.1 4")


# The real server: TLS, proxies, stopping


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def certificate(authority: trustme.CA, tmp_path: Path) -> dict[str, Path]:
    issued = authority.issue_cert("127.0.0.1")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(key)
    return {"tls_certificate": chain, "tls_key": key}


async def test_tls_proxies_and_an_orderly_stop(
    database_url: str, authority: trustme.CA, certificate: dict[str, Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(serving, "TLS_HANDSHAKE_SECONDS_MAX", 1.0)
    async with open_test_context(database_url) as ctx:
        world = await build_world(ctx, drivers=1)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    settings = Settings(
        port=port,
        pool=LAZY_POOL,
        trusted_proxies="127.0.0.1, 10.0.0.0/8",
        http=HttpOptions(requests_per_minute_max=2),
        **certificate,
    )
    url, stop, started = f"https://127.0.0.1:{port}", asyncio.Event(), asyncio.Event()
    assert settings.url == url
    running = asyncio.create_task(serving.serve_http(settings, database_url, listener, stop, started.set))
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await started.wait()
        async with httpx.AsyncClient(verify=trusting, trust_env=False) as http:
            # A proxy we trust says whom a request is from: each has a pace of its own.
            for address in ("203.0.113.1", "203.0.113.2"):
                forwarded = {"x-forwarded-for": f"198.51.100.9, {address}, 10.1.2.3"}
                answers = [(await http.get(f"{url}/schema", headers=forwarded)).status_code for _ in range(3)]
                assert answers == [200, 200, 429]
            assert (await http.get(f"{url}/readyz")).json()["status"] == "ok"
            # A handshake that does not come is not waited for.
            began = time.monotonic()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            async with asyncio.timeout(PATIENCE_SECONDS):
                assert await reader.read() == b""
            assert time.monotonic() - began >= 0.9
            writer.close()
            async with driver_socket_of(url, world.driver_tokens[0], tls=trusting) as phone:
                assert await outcome(phone) == "welcome"
                stop.set()
                frames: list[str] = []
                with contextlib.suppress(ConnectionClosed):
                    async with asyncio.timeout(PATIENCE_SECONDS):
                        while "drain" not in frames:
                            frames.append(json.loads(await phone.recv())["type"])
                # From here on others on this address get the new connections.
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
                # Whoever is still connected is told that no more should come.
                ready = await http.get(f"{url}/readyz")
                assert (ready.status_code, ready.json()["status"]) == (503, "draining")
                with pytest.raises(ConnectionClosed):
                    async with asyncio.timeout(PATIENCE_SECONDS):
                        await phone.recv()
                assert phone.close_code == CloseCode.RESTART
    finally:
        stop.set()
        async with asyncio.timeout(30):
            await running
    again = listen("127.0.0.1", port)
    again.close()


async def test_without_trusted_proxies_nobody_says_where_others_are(database_url: str):
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    settings = Settings(port=port, pool=LAZY_POOL, http=HttpOptions(requests_per_minute_max=2))
    stop, started = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(serving.serve_http(settings, database_url, listener, stop, started.set))
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await started.wait()
        async with httpx.AsyncClient(trust_env=False) as http:
            answers = [
                (await http.get(f"{settings.url}/schema", headers={"x-forwarded-for": f"203.0.113.{n}"})).status_code
                for n in range(3)
            ]
        assert answers == [200, 200, 429]
    finally:
        stop.set()
        await running


async def test_a_certificate_that_cannot_be_read_stops_the_start(database_url: str, tmp_path: Path):
    nothing = tmp_path / f"{uuid4().hex}.pem"
    settings = Settings(tls_certificate=nothing, tls_key=nothing)
    with listen("127.0.0.1", 0) as listener, pytest.raises(serving.StartError, match="FLEXLIVE_TLS_CERTIFICATE"):
        await serving.serve_http(settings, database_url, listener, asyncio.Event())
