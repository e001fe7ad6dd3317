"""The parts of one server process and the order in which they come and go."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final
from uuid import UUID

import structlog
import uuid_utils.compat

from flexlive.markets_runtime import MarketsRuntime
from flexlive.realtime.board import Board
from flexlive.realtime.bus import Bus
from flexlive.realtime.buses.memory import MemoryBus
from flexlive.realtime.fact_router import FactRouter
from flexlive.realtime.hub import Hub
from flexlive.realtime.legs import Legs
from flexlive.realtime.presence import Presence
from flexlive.realtime.roster import Roster
from flexlive.realtime.sessions import SessionStore
from flexlive.services import offers
from flexlive.services.context import Context
from flexlive.services.offers import AcceptItem
from flexlive.services.push_setup import open_providers
from flexlive.services.rules import RulesCache
from flexlive.settings import Settings
from flexlive.storage import migrations
from flexlive.storage.group_commit import GroupCommit
from flexlive.storage.pool import Pool, close_pool, open_connection, open_pool
from flexlive.storage.warm_up import warm_up
from flexlive.web.driver_socket import DriverGateway
from flexlive.web.login_check import LoginCheck
from flexlive.workers.dispatcher import Dispatcher
from flexlive.workers.location_writer import LocationWriter
from flexlive.workers.receipt_writer import ReceiptWriter
from flexlive.workers.relay import Relay
from flexlive.workers.sweeper import Sweeper
from flexlive.workers.waker import Waker
from flexlive.workers.watch import Watch

TASKS_STOP_SECONDS_MAX: Final = 5.0
_log = structlog.get_logger()


def _clock() -> datetime:
    return datetime.now(UTC)


def _new_id() -> UUID:
    return uuid_utils.compat.uuid7()


def _new_secret() -> str:
    return secrets.token_urlsafe(32)


class Tasks:
    """Work beside the request that asked for it; waited for when the process stops."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def stop(self) -> None:
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=TASKS_STOP_SECONDS_MAX)
            for task in late:
                task.cancel()


@asynccontextmanager
async def open_context(
    settings: Settings, dsn: str, new_bus: Callable[[UUID], Bus] = lambda _: MemoryBus()
) -> AsyncGenerator[Context]:
    """A context for use cases outside a server: nothing is woken by a commit, servers learn by polling.

    new_bus: makes the bus of a deployment; not yet started.
    """
    pool = await open_pool(dsn, settings.pool)
    tasks = Tasks()
    group_commit: GroupCommit[AcceptItem, bytes] = GroupCommit(settings.group_commit)
    try:
        async with open_connection(dsn, settings.pool) as conn:
            epoch = await migrations.ensure_deployment(conn, _new_id(), _clock())
        bus = new_bus(epoch)
        ctx = Context(
            pool=pool,
            rules=RulesCache(settings.time_scale),
            presence=Presence(),
            roster=Roster(bus, _new_id().hex, time.monotonic),
            legs=Legs(),
            bus=bus,
            group_commit=group_commit,
            clock=_clock,
            monotonic=time.monotonic,
            new_id=_new_id,
            new_secret=_new_secret,
            committed=lambda market_id: None,  # noqa: ARG005
            market_ready=_nothing_to_wait_for,
            spawn=tasks.spawn,
            epoch=epoch,
            public_url=settings.url,
            time_scale=settings.time_scale,
        )
        group_commit.bind(lambda market_id, items: offers.commit_accepts(ctx, market_id, items))
        yield ctx
    finally:
        await group_commit.close()
        await tasks.stop()
        await close_pool(pool, settings.pool)


@asynccontextmanager
async def open_runtime(settings: Settings, dsn: str, on_replaced: Callable[[], None]) -> AsyncGenerator[Runtime]:
    """A server process' parts, not yet started."""
    async with open_context(settings, dsn, partial(_bus_of_processes, settings)) as base:
        relay_pool = await open_pool(dsn, settings.relay_pool)
        try:
            await warm_up(base.pool)
            yield Runtime(settings, base, relay_pool, on_replaced)
        finally:
            await close_pool(relay_pool, settings.relay_pool)


def _bus_of_processes(settings: Settings, deployment: UUID) -> Bus:
    options = settings.bus
    if options is None:
        return MemoryBus()
    # The library is a third of what a process imports.
    from flexlive.realtime.buses.nats import NatsBus

    return NatsBus(deployment.hex, options)


async def _nothing_to_wait_for(market_id: str) -> None:  # noqa: ARG001
    return


class Runtime:
    """Everything that runs in one server process. on_replaced: called when the database turns out to be another one
    (a restore under a running server); the process must end and start again."""

    def __init__(self, settings: Settings, base: Context, relay_pool: Pool, on_replaced: Callable[[], None]) -> None:
        holder = _new_id().hex
        self.hub = Hub(asyncio.get_running_loop().call_soon)
        self.board = Board(self.hub)
        self.sessions = SessionStore(
            self.hub,
            self.board,
            epoch=base.roster.process,
            now=time.monotonic,
            new_sid=_new_secret,
            roster=base.roster,
        )
        self._tasks = Tasks()
        self.ctx = replace(
            base,
            committed=self._committed,
            market_ready=self._market_ready,
            spawn=self._tasks.spawn,
        )
        base.group_commit.bind(lambda market_id, items: offers.commit_accepts(self.ctx, market_id, items))
        # Sessions of its own: facts must not queue behind the commands they come from.
        self.relay = Relay(relay_pool, self.ctx.bus, holder, settings.relay)
        self.dispatcher = Dispatcher(self.ctx, holder, settings.dispatcher)
        self.sweeper = Sweeper(self.ctx, holder, settings.sweeper)
        self.watch = Watch(self.ctx, holder, settings.watch)
        self.push_providers = open_providers(settings.push)
        self.waker = Waker(self.ctx, holder, settings.waker, self.push_providers, draw=random.random)
        self.markets = MarketsRuntime(
            self.ctx,
            self.hub,
            self.board,
            FactRouter(self.hub, self.board, self.sessions, _clock),
            self.relay,
            self.dispatcher,
            self.sweeper,
            self.watch,
            self.waker,
            on_replaced,
        )
        self.gateway = DriverGateway(self.ctx, self.board, self.sessions, settings.gateway, door=settings.door)
        self._writer = LocationWriter(self.ctx, settings.location_writer)
        self._receipt_writer = ReceiptWriter(self.ctx, settings.receipt_writer)
        self._login_check = LoginCheck(self.ctx, self.sessions, settings.gateway.login_check_seconds)
        self._loops: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Facts flow and boards are filled when this returns."""
        await self.ctx.bus.start()
        await self.markets.start()
        self._loops = [
            asyncio.create_task(work, name=name)
            for name, work in (
                ("location-writer", self._writer.run()),
                ("receipt-writer", self._receipt_writer.run()),
                ("markets", self.markets.run()),
                ("gateway", self.gateway.run()),
                ("roster", self.ctx.roster.run()),
                ("login-check", self._login_check.run()),
            )
        ]

    async def stop(self) -> None:
        """After the sockets are drained: decisions first, then what was submitted, then the relay with the rest."""
        await self.dispatcher.stop()
        await self.sweeper.stop()
        await self.watch.stop()
        await self.waker.stop()
        for provider in self.push_providers.values():
            await provider.close()
        for task in self._loops:
            task.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        await self.ctx.group_commit.close()
        await self._tasks.stop()
        await self.relay.stop()
        await self.markets.stop()
        self.ctx.roster.tell_changes()
        await self.ctx.bus.stop()

    @property
    def healthy(self) -> bool:
        """Whether facts flow to this process."""
        return self.markets.flowing and all(not task.done() for task in self._loops)

    @property
    def hears_others(self) -> bool:
        """Whether facts come over the bus; else they are polled for, slower."""
        return self.ctx.bus.connected and self.markets.heard

    def _committed(self, market_id: str) -> None:
        self.relay.wake(market_id)
        if not self.markets.knows(market_id):
            self._tasks.spawn(self._follow(market_id))

    async def _follow(self, market_id: str) -> None:
        try:
            await self.markets.ensure(market_id)
        except Exception as error:
            # The poll for new markets tries again.
            _log.warning("market_not_followed", market_id=market_id, error=repr(error))

    async def _market_ready(self, market_id: str) -> None:
        await self.markets.ensure(market_id)
