"""Failures that others report of drivers' connections, each by its name, each shown not to happen here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from flexlive.protocol import driver as wire
from flexlive.protocol.close_codes import CloseCode
from flexlive.protocol.codec import encode_client
from flexlive.realtime.buses.nats_server import running_nats_server
from flexlive.realtime.hub import driver_channel
from flexlive.realtime.sessions import SessionStore
from flexlive.services import drivers
from tests.support.http_server import Server, serve
from tests.support.phones import Phone, eventually, notice
from tests.support.world import SITE, World, build_world

PATIENCE_SECONDS = 20.0


@pytest.fixture
async def server(database_url: str) -> AsyncIterator[Server]:
    async with serve(database_url) as running:
        yield running


@pytest.fixture
async def world(server: Server) -> World:
    return await build_world(server.ctx, drivers=2)


@pytest.fixture(scope="module")
def nats_url() -> Iterator[str]:
    with running_nats_server() as nats:
        yield nats.url


@pytest.fixture
async def pair(database_url: str, nats_url: str) -> AsyncIterator[tuple[Server, Server]]:
    """Two servers of one deployment."""
    async with serve(database_url, nats_url=nats_url) as first, serve(database_url, nats_url=nats_url) as second:
        await eventually(lambda: first.ctx.bus.connected and second.ctx.bus.connected, PATIENCE_SECONDS)
        yield first, second


def tell(server: Server, world: World, number: int) -> None:
    """One more fact for the first driver."""
    server.app.state.hub.publish(driver_channel(world.drivers[0].driver_id), notice(number))


def sessions_of(server: Server) -> SessionStore:
    return server.app.state.gateway.sessions


# Socket.IO: a connection's state recovers once, or not at all


async def test_recovery_works_every_time_not_only_once(server: Server, world: World):
    phone = Phone()
    for number in range(5):
        async with phone.connected(server.url, world.driver_tokens[0], SITE):
            assert phone.resumed is (number > 0)
            tell(server, world, number)
            await phone.until(lambda number=number: len(phone.got(wire.Notice)) == number + 1)
    assert phone.got(wire.Reset) == []
    assert phone.violations == []


async def test_recovery_works_before_anything_has_been_received(server: Server, world: World):
    phone = Phone()
    async with phone.connected(server.url, world.driver_tokens[0], SITE):
        pass
    tell(server, world, 1)
    async with phone.connected(server.url, world.driver_tokens[0], SITE):
        assert phone.resumed is True
        assert len(phone.got(wire.Notice)) == 1


async def test_recovery_works_after_a_connection_that_was_long_and_quiet(
    server: Server, world: World, monkeypatch: pytest.MonkeyPatch
):
    shift_seconds = 0.0
    monkeypatch.setattr(sessions_of(server), "_now", lambda: time.monotonic() + shift_seconds)
    phone = Phone()
    async with phone.connected(server.url, world.driver_tokens[0], SITE):
        tell(server, world, 1)
        await phone.until(lambda: phone.session.seq == 1)
        await phone.acknowledge()
        shift_seconds = 10 * wire.RESUME_WINDOW_SECONDS
    async with phone.connected(server.url, world.driver_tokens[0], SITE):
        assert phone.resumed is True
    assert phone.got(wire.Reset) == []
    assert phone.violations == []


async def test_recovery_works_while_the_server_still_believes_in_the_dead_socket(server: Server, world: World):
    phone, token = Phone(), world.driver_tokens[0]
    async with phone.connected(server.url, token, SITE):
        dead = phone.socket
        tell(server, world, 1)  # on its way into the void
        await eventually(
            lambda: sessions_of(server).find(world.market_id, world.drivers[0].driver_id).ring.last_seq == 1
        )
        async with phone.connected(server.url, token, SITE):
            assert phone.resumed is True
            await phone.until(lambda: phone.session.seq == 1)
            tell(server, world, 2)
            await phone.until(lambda: phone.session.seq == 2)
            assert [fact.seq for fact in phone.got(wire.Notice)] == [1, 2]
            async with asyncio.timeout(PATIENCE_SECONDS):
                await dead.wait_closed()
            assert dead.close_code == CloseCode.REPLACED
    assert phone.violations == []


async def test_recovery_repeats_nothing_and_loses_nothing_wherever_the_link_broke(server: Server, world: World):
    phone, token = Phone(), world.driver_tokens[0]
    told = 0
    for read in (0, 3, 1, 4, 0, 2):
        async with phone.connected(server.url, token, SITE):
            for _ in range(4):
                told += 1
                tell(server, world, told)
            seen = len(phone.got(wire.Notice))
            # The rest is in the kernel, or was never sent: the phone does not know either.
            await phone.until(lambda seen=seen, read=read: len(phone.got(wire.Notice)) >= seen + read)
    async with phone.connected(server.url, token, SITE):
        await phone.until(lambda: phone.session.seq == told)
    ids = [fact.notice_id.int & 0xFFFFFFFF for fact in phone.got(wire.Notice)]
    assert len(ids) == told
    assert ids == sorted(set(ids))
    assert phone.got(wire.Reset) == []


async def test_a_session_lost_with_its_process_is_a_reset_with_the_whole_state(pair: tuple[Server, Server]):
    """In-memory recovery, two servers: the phone comes back to the one that does not know it."""
    here, there = pair
    world = await build_world(here.ctx, drivers=1)
    phone, token = Phone(), world.driver_tokens[0]
    async with phone.connected(here.url, token, SITE):
        await world.order()
        await phone.until(lambda: phone.session.state.offers, PATIENCE_SECONDS)
    await world.order()
    assert sessions_of(here).find(world.market_id, world.drivers[0].driver_id) is not None
    async with phone.connected(there.url, token, SITE):
        assert phone.resumed is False
        assert phone.got(wire.Reset)[-1].reason == "other_epoch"
        await phone.until(lambda: len(phone.session.state.offers) == 2, PATIENCE_SECONDS)
        # What waited for it at the first server waits no longer.
        where = (world.market_id, world.drivers[0].driver_id)
        await eventually(lambda: sessions_of(here).find(*where) is None, PATIENCE_SECONDS)
    assert phone.violations == []


# Second phone of one driver


async def test_second_phone_of_one_driver(server: Server, world: World):
    first, second = Phone("first"), Phone("second")
    async with first.connected(server.url, world.driver_tokens[0], SITE):
        async with second.connected(server.url, world.driver_tokens[0], SITE):
            assert await first.closed() == (CloseCode.REPLACED, "another connection of this driver")
            tell(server, world, 1)
            await second.until(lambda: second.got(wire.Notice))
            assert first.got(wire.Notice) == []
            assert server.ctx.presence.connected_count(world.market_id) == 1
        # The first has no session to come back to: it is told so, and has everything again.
        async with first.connected(server.url, world.driver_tokens[0], SITE):
            assert first.resumed is False


async def test_an_opening_that_took_longer_does_not_replace_a_newer_one(server: Server, world: World):
    gateway, go_on, asked = server.app.state.gateway, asyncio.Event(), asyncio.Event()
    read = gateway._edge.stored_results

    async def slow_once(*args: Any) -> dict[str, bytes]:
        if not asked.is_set():
            asked.set()
            await go_on.wait()
        return await read(*args)

    gateway._edge = replace(gateway._edge, stored_results=slow_once)
    older, newer = Phone(), Phone()
    older.session.command(wire.PresenceSet(cmd="a-1", mode="online"), 0.0)
    async with older.connected(server.url, world.driver_tokens[0], SITE, opened=False):
        await asyncio.wait_for(asked.wait(), PATIENCE_SECONDS)
        async with newer.connected(server.url, world.driver_tokens[0], SITE):
            go_on.set()
            assert (await older.closed())[0] == CloseCode.REPLACED
            tell(server, world, 1)
            await newer.until(lambda: newer.got(wire.Notice))


async def test_second_phone_of_one_driver_at_another_server(pair: tuple[Server, Server]):
    here, there = pair
    world = await build_world(here.ctx, drivers=1)
    market_id, driver_id, token = world.market_id, world.drivers[0].driver_id, world.driver_tokens[0]
    first, second = Phone("first"), Phone("second")
    async with first.connected(here.url, token, SITE):
        await there.ctx.market_ready(market_id)
        await eventually(lambda: there.ctx.roster.is_connected(market_id, driver_id), PATIENCE_SECONDS)
        async with second.connected(there.url, token, SITE):
            assert (await first.closed())[0] == CloseCode.REPLACED
            assert sessions_of(here).find(market_id, driver_id) is None
            assert here.ctx.presence.connected_count(market_id) == 0
            await world.order()
            await second.until(lambda: second.session.state.offers, PATIENCE_SECONDS)
            assert first.session.state.offers == {}
            for server in pair:
                assert server.ctx.roster.connected(market_id) == {driver_id}
            # And back: the driver belongs to whoever came last, as often as it changes.
            async with first.connected(here.url, token, SITE):
                assert (await second.closed())[0] == CloseCode.REPLACED
                await eventually(lambda: sessions_of(there).find(market_id, driver_id) is None)
                await first.until(lambda: first.session.state.offers, PATIENCE_SECONDS)
                # Logged out at one server, closed at the other (within two seconds on a machine of its own).
                answer = await there.http.post("/v1/driver/logout", headers=there.bearer(token))
                assert answer.status_code == 204
                assert await first.closed() == (CloseCode.FORBIDDEN, "logged out")
                assert [drivers.known(server.ctx, token) for server in pair] == [None, None]
    await eventually(lambda: not any(server.ctx.roster.connected(market_id) for server in pair), PATIENCE_SECONDS)
    for server in pair:
        with pytest.raises(ConnectionClosed) as refused:
            async with Phone().connected(server.url, token):
                pass
        assert refused.value.rcvd is not None
        assert refused.value.rcvd.code == CloseCode.FORBIDDEN


# The same cmd over WebSocket and HTTP at once


async def test_same_cmd_over_websocket_and_http_at_once(pair: tuple[Server, Server]):
    """A phone on a bad link tries both ways, and the request may meet another server than the socket."""
    here, there = pair
    world = await build_world(here.ctx, drivers=2)
    token, device = world.driver_tokens[0], "phone-1"
    phone = Phone(device)
    headers = there.bearer(token) | {"flexlive-device": device}
    await there.ctx.market_ready(world.market_id)
    async with phone.connected(here.url, token, SITE):
        for number in range(3):
            await world.order()
            offer = await phone.until(lambda: next(iter(phone.session.state.offers.values()), None), PATIENCE_SECONDS)
            accept = wire.OfferAccept(cmd=f"a-{number}", offer_id=offer.offer_id, offer_version=offer.offer_version)
            body = encode_client(accept)
            requests = [there.http.post("/v1/driver/commands", content=body, headers=headers) for _ in range(2)]
            result, *twins = await asyncio.gather(phone.command(accept), *requests)
            [frame] = {frame for frame in phone.frames if b'"result"' in frame and accept.cmd.encode() in frame}
            assert [twin.content for twin in twins] == [frame, frame]
            # One slot: the first is won, the others are refused, each the same on every way.
            assert result.code == ("won" if number == 0 else "not_eligible")
            if number:
                decline = wire.OfferDecline(cmd=f"d-{number}", offer_id=offer.offer_id)
                await phone.command(decline)
                await phone.until(lambda: not phone.session.state.offers)
    routes = await here.ctx.pool.fetchval("select count(*) from route")
    answers = await here.ctx.pool.fetchval("select count(*) from command_result where cmd like 'a-%'")
    assert (routes, answers) == (1, 3)
