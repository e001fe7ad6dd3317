"""The bus of a deployment with several processes: this process' own subscribers are served by a memory bus, everybody
else's through NATS core. Without NATS the former still works, and what others miss they read from the database."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from typing import Final

import structlog
from nats.aio.client import Client
from nats.errors import MaxPayloadError
from prometheus_client import Counter, Gauge

from flexlive.realtime.bus import Callback, Unsubscribe
from flexlive.realtime.buses.memory import MemoryBus, MemoryBusOptions
from flexlive.realtime.buses.nats_connection import BusLostError, close, connect, round_trip
from flexlive.realtime.buses.nats_options import NatsOptions
from flexlive.realtime.buses.nats_topics import TopicFollower

__all__ = ["NatsBus", "NatsOptions"]

SUBJECT_ROOT: Final = "flexlive"
TURN_MESSAGES_MAX: Final = 256
"""Handed to the connection before others get the loop."""
FLUSH_POLL_SECONDS: Final = 0.005

_log = structlog.get_logger()
_connected = Gauge("flexlive_bus_connected", "Processes that reach the others over NATS", multiprocess_mode="livesum")
_round_trip = Gauge(
    "flexlive_bus_round_trip_seconds", "To the NATS server and back, newest", multiprocess_mode="livemax"
)
_connects = Counter("flexlive_bus_connects_total", "Connections to NATS that were made")
_sent = Counter("flexlive_bus_sent_total", "Messages handed to NATS")
_unsent = Counter("flexlive_bus_unsent_total", "Messages that other processes did not get from here", ["reason"])


class NatsBus:
    """See realtime/bus.py for the contract. deployment: names whose messages these are; deployments that share a NATS
    cluster do not hear each other.

    start returns once connected, or after start_seconds_max without a connection, which is then tried for ever.
    """

    def __init__(self, deployment: str, options: NatsOptions, memory: MemoryBusOptions | None = None) -> None:
        self._options = options
        self._local = MemoryBus(memory)
        self._topics = TopicFollower(
            f"{SUBJECT_ROOT}.{deployment}",
            self._local.publish,
            messages_max=options.subscription_messages_max,
            bytes_max=options.subscription_bytes_max,
        )
        self._outgoing: deque[tuple[str, bytes]] = deque()
        self._outgoing_bytes = 0
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._up = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        _connected.set(0)

    @property
    def connected(self) -> bool:
        return self._up.is_set()

    async def start(self) -> None:
        await self._local.start()
        self._task = asyncio.create_task(self._run(), name="nats-bus")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._options.start_seconds_max):
                await self._up.wait()

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            if self.connected:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._options.stop_seconds_max):
                        await self._idle.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._local.stop()

    def publish(self, topic: str, payload: bytes) -> None:
        self._local.publish(topic, payload)
        if not self._up.is_set():
            # Kept for later it would only be old: whoever missed it reads the database.
            _unsent.labels("disconnected").inc()
            return
        options = self._options
        if (
            len(self._outgoing) >= options.outgoing_messages_max
            or self._outgoing_bytes + len(payload) > options.outgoing_bytes_max
        ):
            _unsent.labels("queue_full").inc()
            return
        self._outgoing.append((topic, payload))
        self._outgoing_bytes += len(payload)
        self._idle.clear()
        self._work.set()

    def subscribe(self, topic: str, callback: Callback) -> Unsubscribe:
        unsubscribe = self._local.subscribe(topic, callback)
        self._topics.want(topic)
        active = True

        def end() -> None:
            nonlocal active
            unsubscribe()
            if active:
                active = False
                self._topics.unwant(topic)

        return end

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                client, lost = await connect(self._options)
            except Exception as error:
                failures += 1
                delay_seconds = self._delay_seconds(failures)
                _log.warning("bus_not_connected", error=repr(error), retry_seconds=round(delay_seconds, 2))
                await asyncio.sleep(delay_seconds)
                continue
            failures = 0
            try:
                await self._serve(client, lost)
            except* Exception as group:
                _log.warning("bus_lost", error=repr(group.exceptions[0]))
            finally:
                self._down()
                await close(client)
            await asyncio.sleep(self._delay_seconds(1))

    async def _serve(self, client: Client, lost: asyncio.Event) -> None:
        """Until the connection is lost; raises then."""
        await self._topics.follow_all(client)
        # What is subscribed is known to the server once an answer came back: now nothing is missed any more.
        _round_trip.set(await round_trip(client, self._options))
        self._idle.set()
        self._up.set()
        _connected.set(1)
        _connects.inc()
        _log.info(
            "bus_connected", server=client.connected_url.netloc.rpartition("@")[2] if client.connected_url else ""
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send(client))
            tasks.create_task(self._topics.follow(client))
            tasks.create_task(self._check(client, lost))

    async def _send(self, client: Client) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            turn = 0
            while self._outgoing:
                while client.pending_data_size > self._options.unflushed_bytes_max:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(FLUSH_POLL_SECONDS)
                topic, payload = self._outgoing.popleft()
                self._outgoing_bytes -= len(payload)
                try:
                    await client.publish(self._topics.subject(topic), payload)
                except MaxPayloadError:
                    _unsent.labels("too_large").inc()
                else:
                    _sent.inc()
                turn += 1
                if turn % TURN_MESSAGES_MAX == 0:
                    await asyncio.sleep(0)
            self._idle.set()

    async def _check(self, client: Client, lost: asyncio.Event) -> None:
        """A server that answers nothing is as gone as one that closed the connection."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._options.check_seconds):
                    await lost.wait()
            if lost.is_set():
                raise BusLostError("the server closed the connection")
            _round_trip.set(await round_trip(client, self._options))

    def _down(self) -> None:
        self._up.clear()
        _connected.set(0)
        if self._outgoing:
            _unsent.labels("disconnected").inc(len(self._outgoing))
        self._outgoing.clear()
        self._outgoing_bytes = 0
        self._topics.forget()

    def _delay_seconds(self, failures: int) -> float:
        highest = min(self._options.retry_seconds_max, self._options.retry_seconds_min * 2 ** min(failures, 16))
        return random.uniform(self._options.retry_seconds_min, highest)  # noqa: S311 - spreads reconnects
