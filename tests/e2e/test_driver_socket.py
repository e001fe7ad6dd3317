"""The driver's socket on the real server: database, relay chain, hub and frames."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import msgspec
import pytest
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from flexlive.protocol import driver as wire
from flexlive.protocol.session import SessionLimits
from flexlive.realtime.hub import driver_channel
from flexlive.realtime.sessions import SessionStore
from flexlive.services import commands
from flexlive.services.drivers import DriverSnapshot, SnapshotAsk
from flexlive.web.command_queue import COMMANDS_QUEUED_MAX
from flexlive.web.driver_connection import ConnectionOptions
from flexlive.web.driver_socket import GatewayOptions
from flexlive.web.snapshot_batches import SnapshotBatches
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


async def offered(phone: Phone, world: World) -> wire.OfferView:
    """Place an order and wait until the phone is offered it."""
    await world.order()
    return await phone.until(lambda: next(iter(phone.session.state.offers.values()), None))


def accept(offer: wire.OfferView, cmd: str) -> wire.OfferAccept:
    return wire.OfferAccept(cmd=cmd, offer_id=offer.offer_id, offer_version=offer.offer_version)


def sessions_of(server: Server) -> SessionStore:
    return server.app.state.gateway.sessions


async def test_an_offer_is_pushed_won_once_and_gone_for_the_other(transport: str, database_url: str):
    async with serve(database_url) as server:
        world = await build_world(server.ctx, drivers=2)
        phones = [Phone(), Phone("phone-2")]
        async with (
            phones[0].connected(server.url, world.driver_tokens[0], SITE) as first,
            phones[1].connected(server.url, world.driver_tokens[1], SITE) as second,
        ):
            offer = await offered(first, world)
            await second.until(lambda: second.session.state.offers)
            results = await asyncio.gather(first.command(accept(offer, "a-1")), second.command(accept(offer, "a-1")))
            assert sorted(result.code for result in results) == ["taken", "won"]
            winner, loser = (first, second) if results[0].code == "won" else (second, first)
            route = await winner.until(lambda: next(iter(winner.session.state.routes.values()), None))
            assert route.offer_id == offer.offer_id
            await loser.until(lambda: loser.got(wire.OfferGone))
            assert loser.got(wire.OfferGone)[0].reason == "taken"
            await winner.read_quietly(0.2)
            assert winner.got(wire.OfferGone) == []
        assert first.violations == second.violations == []


async def test_coming_back_replays_exactly_what_was_missed_without_a_snapshot(server: Server, world: World):
    phone, token = Phone(), world.driver_tokens[0]
    async with phone.connected(server.url, token, SITE):
        await offered(phone, world)
        seen = phone.session.seq
    await world.order()
    session = sessions_of(server).find(world.market_id, world.drivers[0].driver_id)
    assert session is not None
    await eventually(lambda: session.ring.last_seq > seen)
    async with phone.connected(server.url, token, SITE):
        assert phone.resumed is True
        assert len(phone.session.state.offers) == 2
        assert phone.got(wire.Snapshot)[1:] == []
    assert phone.violations == []


async def test_an_offer_that_died_meanwhile_replays_as_a_skip(server: Server, world: World):
    away, winner = Phone("away"), Phone("winner")
    async with winner.connected(server.url, world.driver_tokens[1], SITE):
        async with away.connected(server.url, world.driver_tokens[0], SITE):
            pass
        offer = await offered(winner, world)
        assert (await winner.command(accept(offer, "a-1"))).code == "won"
    session = sessions_of(server).find(world.market_id, world.drivers[0].driver_id)
    assert session is not None
    await eventually(lambda: session.ring.last_seq == 2)
    async with away.connected(server.url, world.driver_tokens[0], SITE):
        assert [type(message) for message in away.messages[-4:]] == [wire.Resumed, wire.Skip, wire.OfferGone, wire.Live]
    assert away.violations == []


async def test_a_restored_phone_or_a_stranger_gets_a_reset(server: Server, world: World):
    phone = Phone()
    async with phone.connected(server.url, world.driver_tokens[0], SITE):
        await offered(phone, world)
    async with phone.connected(server.url, world.driver_tokens[1], SITE):
        assert phone.resumed is False
        assert phone.got(wire.Reset)[-1].reason == "unknown_session"


async def test_a_second_phone_replaces_the_first(server: Server, world: World):
    token = world.driver_tokens[0]
    first, second = Phone("phone-1"), Phone("phone-2")
    async with first.connected(server.url, token, SITE), second.connected(server.url, token, SITE):
        assert await first.closed() == (4509, "another connection of this driver")
        await offered(second, world)
        assert server.ctx.presence.connected_count(world.market_id) == 1
    await eventually(lambda: server.ctx.presence.connected_count(world.market_id) == 0)


async def test_an_answer_is_the_same_bytes_however_often_it_is_asked_for(server: Server, world: World):
    phone = Phone()
    async with phone.connected(server.url, world.driver_tokens[0], SITE):
        offer = await offered(phone, world)
        await phone.command(accept(offer, "a-1"))
        first = next(frame for frame in phone.frames if b'"result"' in frame)
        phone.frames.clear()
        await phone.command(accept(offer, "a-1"))
        assert next(frame for frame in phone.frames if b'"result"' in frame) == first
        other = await phone.command(replace_version(accept(offer, "a-1")))
        assert other.code == "conflict"
    phone.session.pending["a-1"] = accept(offer, "a-1")
    async with phone.connected(server.url, world.driver_tokens[0], SITE):
        assert phone.results["a-1"].code == "won"
        (resumed,) = phone.got(wire.Resumed)
        assert bytes(resumed.results[0]) == first


def replace_version(command: wire.OfferAccept) -> wire.OfferAccept:
    return msgspec.structs.replace(command, offer_version=command.offer_version + 5)


async def test_going_online_shows_what_is_open_and_going_offline_stops_it(server: Server, world: World):
    await world.add_drivers(1, online=False)
    online, sleeper = Phone("a"), Phone("b")
    async with (
        online.connected(server.url, world.driver_tokens[0], SITE),
        sleeper.connected(server.url, world.driver_tokens[2], SITE),
    ):
        offer = await offered(online, world)
        await sleeper.read_quietly(0.2)
        assert sleeper.session.state.offers == {}
        await sleeper.command(wire.PresenceSet(cmd="p-1", mode="online"))
        await sleeper.until(lambda: offer.offer_id in sleeper.session.state.offers)


async def test_a_sync_is_answered_by_a_snapshot_in_its_place(server: Server, world: World):
    phone = Phone()
    async with phone.connected(server.url, world.driver_tokens[0], SITE):
        await offered(phone, world)
        await phone.send(wire.Sync())
        await phone.send(wire.Sync())
        for number in range(5):
            server.app.state.hub.publish(driver_channel(world.drivers[0].driver_id), notice(number))
        await phone.until(lambda: len(phone.got(wire.Snapshot)) == 2 and phone.session.seq >= 6)
        snapshot = phone.got(wire.Snapshot)[1]
        assert len(snapshot.offers) == 1
        await world.order()
        await phone.until(lambda: len(phone.session.state.offers) == 2)
    assert phone.violations == []


async def test_facts_that_come_while_state_is_read_follow_the_snapshot(
    server: Server, world: World, monkeypatch: pytest.MonkeyPatch
):
    asked, go_on = asyncio.Event(), asyncio.Event()
    read = SnapshotBatches.read

    async def slowly(batches: SnapshotBatches, market_id: str, ask: SnapshotAsk) -> DriverSnapshot | None:
        snapshot = await read(batches, market_id, ask)
        asked.set()
        await go_on.wait()
        return snapshot

    monkeypatch.setattr(SnapshotBatches, "read", slowly)
    phone = Phone()
    async with phone.connected(server.url, world.driver_tokens[0], SITE, opened=False):
        await asked.wait()
        for number in range(3):
            server.app.state.hub.publish(driver_channel(world.drivers[0].driver_id), notice(number))
        await phone.read_quietly(0.1)
        assert phone.messages == []
        go_on.set()
        await phone.until(lambda: phone.session.seq == 3)
        kinds = [type(message) for message in phone.messages]
        assert kinds == [wire.Welcome, wire.Snapshot, wire.Notice, wire.Notice, wire.Notice]
    assert phone.violations == []


async def test_commands_sent_right_behind_hello_run_in_order_after_it(server: Server, world: World):
    phone = Phone()
    async with phone.connected(server.url, world.driver_tokens[0], SITE, opened=False):
        for number, mode in enumerate(("offline", "online", "offline", "online", "offline")):
            command = wire.PresenceSet(cmd=f"p-{number}", mode=mode)
            phone.session.pending[command.cmd] = command
            await phone.send(command)
        await phone.until(lambda: len(phone.results) == 5)
        assert list(phone.results) == [f"p-{number}" for number in range(5)]
        assert phone.got(wire.ServerFrame)[0] is phone.got(wire.Welcome)[0]
    presence = await server.ctx.pool.fetchval(
        "select presence from driver where driver_id = $1", world.drivers[0].driver_id
    )
    assert presence == "offline"


async def test_a_session_waits_no_longer_than_its_window(server: Server, world: World):
    sessions = sessions_of(server)
    phone = Phone()
    async with phone.connected(server.url, world.driver_tokens[0], SITE):
        await offered(phone, world)
    await eventually(lambda: server.ctx.presence.connected_count(world.market_id) == 0)
    sessions.options = replace(sessions.options, resume_window_seconds=0)
    assert sessions.expire() == 1
    async with phone.connected(server.url, world.driver_tokens[0], SITE):
        assert phone.resumed is False
        assert len(phone.session.state.offers) == 1


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate(commands.execute)
    monkeypatch.setattr(commands, "execute", gate)
    return gate


class Gate:
    """Holds real commands up until it is opened, and counts how many run at once."""

    def __init__(self, execute: Callable[..., Awaitable[bytes]]) -> None:
        self._execute = execute
        self.opened = asyncio.Event()
        self.running = self.running_max = 0

    async def __call__(self, *args: object) -> bytes:
        self.running += 1
        self.running_max = max(self.running, self.running_max)
        await self.opened.wait()
        try:
            return await self._execute(*args)
        finally:
            self.running -= 1


async def test_one_command_at_a_time_and_a_bounded_queue_behind_it(database_url: str, gate: Gate):
    limits = SessionLimits(commands_burst=100)
    async with serve(database_url, gateway=GatewayOptions(connection=ConnectionOptions(limits=limits))) as server:
        world = await build_world(server.ctx, drivers=1)
        phone = Phone()
        async with phone.connected(server.url, world.driver_tokens[0], SITE):
            for number in range(COMMANDS_QUEUED_MAX + 3):
                command = wire.PresenceSet(cmd=f"p-{number}", mode="online")
                phone.session.pending[command.cmd] = command
                await phone.send(command)
                # The first one leaves the queue before the others come.
                await eventually(lambda: gate.running)
            await phone.until(lambda: sum(isinstance(message, wire.Result) for message in phone.messages) == 2)
            refused = [message for message in phone.messages if isinstance(message, wire.Result)]
            assert {result.code for result in refused} == {"rate_limited"}
            gate.opened.set()
            # The two that were refused stay with the phone, which sends them again later.
            await phone.until(lambda: len(phone.results) >= COMMANDS_QUEUED_MAX + 1)
    assert gate.running_max == 1
    assert all(result.ok for result in phone.results.values())
