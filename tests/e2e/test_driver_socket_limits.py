"""Who is turned away from the driver's socket, and what ends it: codes, silence, stalled phones, a stopping server."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from flexlive.app import drain
from flexlive.protocol import driver as wire
from flexlive.protocol.session import SessionLimits
from flexlive.realtime.hub import driver_channel
from flexlive.web import frame_transport, links
from flexlive.web.driver_connection import ConnectionOptions
from flexlive.web.driver_socket import GatewayOptions
from tests.support import http_server
from tests.support.http_server import Server, serve
from tests.support.phones import Phone, eventually, notice
from tests.support.world import SITE, World, build_world


@pytest.fixture(params=["framed", "plain-asgi"])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "plain-asgi":
        monkeypatch.setattr(http_server, "FrameTransportProtocol", WebSocketsSansIOProtocol)
    return request.param


@pytest.fixture
async def server(database_url: str) -> AsyncIterator[Server]:
    async with serve(database_url) as running:
        yield running


@pytest.fixture
async def world(server: Server) -> World:
    return await build_world(server.ctx, drivers=2)


@pytest.mark.parametrize(
    ("headers", "query", "protocols", "code"),
    [
        ({}, "", True, 4503),
        ({"Authorization": "Bearer fl_driver_testville_" + "A" * 43}, "", True, 4503),
        ({"Authorization": "Basic eA=="}, "", True, 4503),
        ({}, "?ticket=%00%ff", True, 4503),
        ({}, "", False, 4526),
    ],
)
async def test_who_may_not_in_is_told_by_the_close_code(
    server: Server, world: World, headers: dict[str, str], query: str, protocols: bool, code: int
):
    url = server.url.replace("http", "ws") + "/v1/driver" + query
    subprotocols = [Subprotocol(wire.SUBPROTOCOL)] if protocols else None
    async with connect(url, additional_headers=headers, subprotocols=subprotocols, proxy=None) as socket:
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == code


async def test_a_long_lived_token_may_not_stand_in_the_address(server: Server, world: World):
    url = f"{server.url.replace('http', 'ws')}/v1/driver?ticket={world.driver_tokens[0]}"
    async with connect(url, subprotocols=[Subprotocol(wire.SUBPROTOCOL)], proxy=None) as socket:
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 4503


async def test_an_expired_token_is_accepted_and_closed_4401(server: Server, world: World):
    await server.ctx.pool.execute("update token set expires_at = now() - interval '1 second'")
    phone = Phone()
    with pytest.raises(ConnectionClosed):
        async with phone.connected(server.url, world.driver_tokens[0]):
            pass
    assert phone.socket.close_code == 4401


async def test_a_plain_request_is_told_to_upgrade(server: Server):
    async with httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(server.url + "/v1/driver")).status_code == 426


async def test_what_breaks_the_protocol_ends_the_socket(transport: str, database_url: str):
    async with serve(database_url) as server:
        world = await build_world(server.ctx, drivers=1)
        token = world.driver_tokens[0]
        phone = Phone()
        async with phone.connected(server.url, token):
            for _ in range(5):
                await phone.send(b'{"type":')
            assert await phone.closed() == (4501, "5 bad frames")
        async with phone.connected(server.url, token):
            await phone.send(wire.Ack(seq=10_000))
            assert await phone.closed() == (4500, "ack of a fact never sent")
        async with phone.connected(server.url, token):
            await phone.socket.send(b"\x00")
            await phone.until(lambda: phone.got(wire.Error))
            for number in range(200):
                await phone.send(wire.OfferDecline(cmd=f"d-{number}", offer_id=world.drivers[0].driver_id))
            assert (await phone.closed())[0] == 4029


async def test_silence_is_answered_with_heartbeats_and_then_a_close(database_url: str):
    limits = SessionLimits(hello_deadline_seconds=0.2, heartbeat_seconds=0.3)
    options = GatewayOptions(connection=ConnectionOptions(limits=limits), tick_seconds=0.05)
    async with serve(database_url, gateway=options) as server:
        world = await build_world(server.ctx, drivers=1)
        phone = Phone()
        async with phone.connected(server.url, world.driver_tokens[0]):
            assert await phone.closed() == (4009, "nothing heard")
        assert phone.got(wire.ServerHeartbeat)
        url = server.url.replace("http", "ws") + "/v1/driver"
        headers = {"Authorization": f"Bearer {world.driver_tokens[0]}"}
        async with connect(
            url, additional_headers=headers, subprotocols=[Subprotocol(wire.SUBPROTOCOL)], proxy=None
        ) as mute:
            with pytest.raises(ConnectionClosed):
                await mute.recv()
            assert mute.close_reason == "no hello"


async def test_a_phone_that_does_not_read_is_closed_and_comes_back_whole_or_reset(
    transport: str, database_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(links, "CLOSE_ABORT_SECONDS", 0.3)
    monkeypatch.setattr(frame_transport, "CLOSE_ABORT_SECONDS", 0.3)
    options = GatewayOptions(connection=ConnectionOptions(send_buffer_bytes_max=64 * 1024))
    async with serve(database_url, gateway=options) as server:
        world = await build_world(server.ctx, drivers=1)
        driver_id, token = world.drivers[0].driver_id, world.driver_tokens[0]
        phone = Phone()
        async with phone.connected(server.url, token, SITE):
            phone.socket.transport.pause_reading()
            for number in range(1, 200):
                server.app.state.hub.publish(driver_channel(driver_id), notice(number, 8_000))
                await asyncio.sleep(0)
            await eventually(lambda: server.ctx.presence.connected_count(world.market_id) == 0)
            phone.socket.transport.abort()
        async with phone.connected(server.url, token, SITE):
            assert phone.resumed is False
            assert phone.got(wire.Reset)[-1].reason == "too_old"
        assert phone.violations == []


async def test_a_stopping_server_asks_to_come_back_later_then_closes_4001(database_url: str):
    options = GatewayOptions(drain_notice_seconds=0.1)
    async with serve(database_url, gateway=options) as server:
        world = await build_world(server.ctx, drivers=1)
        phone = Phone()
        async with phone.connected(server.url, world.driver_tokens[0]):
            draining = asyncio.create_task(drain(server.app))
            assert await phone.closed() == (4001, "restarting")
            assert phone.got(wire.Drain)
            await draining
        with pytest.raises(ConnectionClosed):
            async with phone.connected(server.url, world.driver_tokens[0]):
                pass
        assert phone.socket.close_code == 4001
