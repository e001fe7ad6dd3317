"""Behind real proxies with TLS, with the very configurations that `deploy/` hands out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import httpx
import pytest

from flexlive.domain.deliveries import DeliveryStatus
from flexlive.protocol import driver as wire
from flexlive.realtime.hub import driver_channel
from flexlive.web.limits import HttpOptions
from tests.support import proxies
from tests.support.http_server import Server, serve
from tests.support.phones import Phone, notice
from tests.support.proxies import Certificates, Proxy
from tests.support.sse import Stream
from tests.support.tracking import move, token_of
from tests.support.world import SITE, World, build_world

HEARTBEATS = HttpOptions(stream_heartbeat_seconds=0.4, requests_per_minute_max=0)
IMPATIENT = {
    "haproxy": {"timeout client 60s": "timeout client 1s", "timeout server 60s": "timeout server 1s"},
    "nginx": {"proxy_send_timeout 60s": "proxy_send_timeout 1s"},
}
"""Shorter than the silence of the test, longer than a heartbeat: as in production, sixty times faster."""
SILENCE_SECONDS = 1.8
NOTICE_BYTES = 8_000
SWALLOWED_BYTES_MAX = 2 * 1024 * 1024
"""By the server's buffer (128 KiB), its kernel, the proxy and the phone's kernel together; 0.8 MB as a rule, 4.5 MB
without the proxies' settings."""


@dataclass
class Behind:
    """A proxy in front of the server, and a driver of its own. win: one driver at a time."""

    server: Server
    proxy: Proxy
    world: World
    certificates: Certificates
    number: int
    win: asyncio.Lock

    @asynccontextmanager
    async def http(self) -> AsyncIterator[httpx.AsyncClient]:
        """As browsers speak: HTTP/2."""
        async with httpx.AsyncClient(
            base_url=self.proxy.url, verify=self.certificates.context, trust_env=False, timeout=10, http2=True
        ) as http:
            yield http

    @asynccontextmanager
    async def stream(self, token: str) -> AsyncIterator[Stream]:
        async with self.http() as http, http.stream("GET", f"/v1/track/{token}/events") as response:
            assert response.status_code == 200
            yield Stream(response)

    def phone(self) -> AbstractAsyncContextManager[Phone]:
        token = self.world.driver_tokens[self.number]
        return Phone(f"phone-{self.number}").connected(self.proxy.socket_base, token, SITE)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return proxies.make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
async def behind(
    database_url: str, certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[list[Behind]]:
    """HAProxy and nginx in front of one server."""
    for name in IMPATIENT:
        proxies.require(name)
    # What every TLS client of this process believes, the phones' library included.
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serve(database_url, http=HEARTBEATS))
        world = await build_world(server.ctx, drivers=len(IMPATIENT))
        port, win = int(server.url.rpartition(":")[2]), asyncio.Lock()
        running = [
            await stack.enter_async_context(proxies.running(name, [port], certificates, tmp_path, changes))
            for name, changes in IMPATIENT.items()
        ]
        yield [Behind(server, proxy, world, certificates, number, win) for number, proxy in enumerate(running)]


async def test_phone_and_customer(behind: list[Behind]) -> None:
    """An order is won over a WebSocket and followed over an event stream, each word as it is said. A socket outlives
    silence, a stream lives by its heartbeats."""
    await asyncio.gather(*map(phone_and_customer, behind))


async def phone_and_customer(behind: Behind) -> None:
    created = await behind.world.order()
    async with behind.stream(token_of(created)) as stream, behind.phone() as phone:
        await stream.expect("position", "state")
        async with behind.win:
            await win_something(phone)
        silent_since = monotonic()
        while monotonic() - silent_since < SILENCE_SECONDS:
            assert await stream.next(2) is not None, f"{behind.proxy.name} ended a living stream"
        assert (await phone.command(wire.OfferDecline(cmd="late", offer_id=created.delivery_id))).code == "not_found"
        await move(behind.world, created.delivery_id, DeliveryStatus.PICKED_UP, behind.world.drivers[0].driver_id)
        last = None
        while last != "picked_up":
            [fact] = await stream.expect("fact")
            last = fact.data["status"]
        assert phone.violations == []


async def win_something(phone: Phone) -> None:
    """Accept what is on the board until something is won."""
    offers, tried, code = phone.session.state.offers, set[object](), ""
    while code != "won":
        offer = await phone.until(lambda: next((each for each in offers.values() if each.offer_id not in tried), None))
        tried.add(offer.offer_id)
        accept = wire.OfferAccept(
            cmd=f"accept-{len(tried)}", offer_id=offer.offer_id, offer_version=offer.offer_version
        )
        code = (await phone.command(accept)).code


async def test_what_the_world_may_see(behind: list[Behind]) -> None:
    for each in behind:
        async with each.http() as http:
            page = await http.get("/static/track.css")
            assert (page.status_code, page.http_version) == (200, "HTTP/2")
            assert page.headers["strict-transport-security"] == "max-age=31536000"
            for inside in ("/readyz", "/metrics", "/livez"):
                assert (await http.get(inside)).status_code == 404
            plain = await http.get(f"http://{proxies.HOST}:{each.proxy.http_port}/t/x?secret=1")
            assert plain.status_code == 308
            assert plain.headers["location"].startswith("https://")
            await http.get("/t/x?secret=1")
        assert "/t/x" in each.proxy.log.read_text()
        assert "secret" not in each.proxy.log.read_text()


async def test_a_phone_that_does_not_read_is_noticed_through_the_proxy(behind: list[Behind]) -> None:
    """Buffers between server and phone must not hide it: it is closed 4008 and its memory given back."""
    for each in behind:
        channel = driver_channel(each.world.drivers[each.number].driver_id)
        presence, published = each.server.ctx.presence, 0
        async with each.phone() as phone:
            phone.socket.transport.pause_reading()
            while presence.connected_count(each.world.market_id) and published * NOTICE_BYTES <= SWALLOWED_BYTES_MAX:
                published += 1
                each.server.app.state.hub.publish(channel, notice(published, NOTICE_BYTES))
                await asyncio.sleep(0.002)
            phone.socket.transport.abort()
        assert published * NOTICE_BYTES <= SWALLOWED_BYTES_MAX, each.proxy.name
