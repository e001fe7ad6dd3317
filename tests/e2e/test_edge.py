"""The outermost edge: who gets a socket, and for how long a login that has ended keeps one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from prometheus_client import REGISTRY

from flexlive.protocol import driver as wire
from flexlive.protocol.close_codes import CloseCode
from flexlive.services.drivers import DriverPrincipal
from flexlive.storage.transaction import transaction
from flexlive.web import driver_socket
from flexlive.web.login_check import LoginCheck
from tests.support.http_server import Server, serve
from tests.support.phones import Phone, eventually
from tests.support.raw_phone import PATIENCE_SECONDS, driver_socket_of, outcome
from tests.support.world import SITE, World, build_world


@pytest.fixture
async def server(database_url: str) -> AsyncIterator[Server]:
    limits = {"unauthenticated_sockets_per_address_max": 2, "sockets_per_driver_max": 2}
    async with serve(database_url, origins="https://drivers.example.com", **limits) as running:
        yield running


@pytest.fixture
async def world(server: Server) -> World:
    return await build_world(server.ctx, drivers=2)


async def test_pages_need_an_allowed_origin_and_apps_none(server: Server, world: World):
    for origin, expected in (
        (None, "welcome"),
        ("https://drivers.example.com", "welcome"),
        ("https://DRIVERS.example.com:443", "welcome"),
        (server.url, "welcome"),
        ("https://evil.example.com", CloseCode.FORBIDDEN),
        ("http://drivers.example.com", CloseCode.FORBIDDEN),
        ("https://drivers.example.com:444", CloseCode.FORBIDDEN),
        ("null", CloseCode.FORBIDDEN),
    ):
        async with driver_socket_of(server.url, world.driver_tokens[0], origin) as opened:
            assert await outcome(opened) == expected, origin


async def test_one_address_has_so_many_sockets_of_unknown_drivers(
    server: Server, world: World, monkeypatch: pytest.MonkeyPatch
):
    known = Phone("known")
    async with known.connected(server.url, world.driver_tokens[0]):
        pass
    asked, go_on = asyncio.Semaphore(0), asyncio.Event()
    authenticate = driver_socket.authenticate

    async def slowly(ctx: object, token: str) -> object:
        asked.release()
        await go_on.wait()
        return await authenticate(server.ctx, token)

    monkeypatch.setattr(driver_socket, "authenticate", slowly)
    opening = [asyncio.create_task(_open_one(server.url, world.driver_tokens[1])) for _ in range(2)]
    for _ in opening:
        await asked.acquire()
    async with driver_socket_of(server.url, world.driver_tokens[1]) as third:
        assert await outcome(third) == CloseCode.RATE_LIMITED
    # Who was here a moment ago is known: no flood from a shared address keeps such a driver out.
    async with known.connected(server.url, world.driver_tokens[0]):
        assert known.resumed is True
    go_on.set()
    assert set(await asyncio.gather(*opening)) <= {"welcome", CloseCode.REPLACED}
    async with driver_socket_of(server.url, world.driver_tokens[1]) as later:
        assert await outcome(later) == "welcome"


async def _open_one(url: str, token: str) -> str | int:
    async with driver_socket_of(url, token) as opened:
        return await outcome(opened)


async def test_one_driver_has_so_many_sockets_those_being_closed_included(
    server: Server, world: World, monkeypatch: pytest.MonkeyPatch
):
    gateway = server.app.state.gateway
    async with (
        driver_socket_of(server.url, world.driver_tokens[0]),
        driver_socket_of(server.url, world.driver_tokens[0]),
        driver_socket_of(server.url, world.driver_tokens[0]) as third,
        driver_socket_of(server.url, world.driver_tokens[1]) as another,
    ):
        assert await outcome(third) == CloseCode.RATE_LIMITED
        assert await outcome(another) == "welcome"
    await eventually(lambda: not gateway._connections)
    async with driver_socket_of(server.url, world.driver_tokens[0]) as later:
        assert await outcome(later) == "welcome"


async def test_coming_back_within_the_window_asks_the_database_nothing(server: Server, world: World):
    names = ("flexlive_principal_reads_total", "flexlive_snapshot_queries_total")
    phone, token = Phone(), world.driver_tokens[0]
    async with phone.connected(server.url, token, SITE):
        before = [REGISTRY.get_sample_value(name) for name in names]
    for _ in range(3):
        async with phone.connected(server.url, token, SITE):
            assert phone.resumed is True
    assert [REGISTRY.get_sample_value(name) for name in names] == before


async def test_a_login_that_ended_unheard_ends_when_it_is_looked_at(server: Server, world: World):
    gone, suspended, staying = Phone("gone"), Phone("suspended"), Phone("staying")
    more = await world.add_drivers(1)
    check = LoginCheck(server.ctx, server.app.state.gateway.sessions, 300.0)
    async with (
        gone.connected(server.url, world.driver_tokens[0], SITE),
        suspended.connected(server.url, world.driver_tokens[1], SITE),
        staying.connected(server.url, world.driver_tokens[2], SITE),
    ):
        assert await check.look() == 0
        async with transaction(server.ctx.pool) as conn:
            # Straight in the tables: no fact tells of it. An expired token alone ends no socket.
            await conn.execute("update token set revoked_at = now() where family_id = $1", world.drivers[0].family_id)
            await conn.execute(
                "update driver set status = 'suspended' where driver_id = $1", world.drivers[1].driver_id
            )
            await conn.execute(
                "update token set expires_at = now() - interval '1 hour' where family_id = $1", more[0].family_id
            )
        assert await check.look() == 2
        assert (await gone.closed())[0] == CloseCode.FORBIDDEN
        assert (await suspended.closed())[0] == CloseCode.DEACTIVATED
        assert server.ctx.roster.connected(world.market_id) == {more[0].driver_id}
        result = await staying.command(wire.PresenceSet(cmd="p-1", mode="offline"))
        assert result.ok
    # What was known of the tokens is forgotten with them.
    for token, code in ((world.driver_tokens[0], CloseCode.FORBIDDEN), (world.driver_tokens[1], CloseCode.DEACTIVATED)):
        async with driver_socket_of(server.url, token) as opened:
            assert await outcome(opened) == code


async def test_a_log_out_between_handshake_and_hello_closes_the_socket(server: Server, world: World):
    token = world.driver_tokens[0]
    async with driver_socket_of(server.url, token) as opened:
        driver: DriverPrincipal = world.drivers[0]
        assert (await server.http.post("/v1/driver/logout", headers=server.bearer(token))).status_code == 204
        sessions = server.app.state.gateway.sessions
        await eventually(lambda: sessions.family_ended(driver.family_id), PATIENCE_SECONDS)
        assert await outcome(opened) == CloseCode.FORBIDDEN
