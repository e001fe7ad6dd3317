"""What every bus promises (realtime/bus.py), to subscribers of the same process and, where a bus reaches others, of
another one. A new bus is one more entry in BUSES."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from flexlive.realtime.bus import Bus
from flexlive.realtime.buses.memory import MemoryBus, MemoryBusOptions
from flexlive.realtime.buses.nats import NatsBus, NatsOptions
from flexlive.realtime.buses.nats_server import NatsServer, running_nats_server

SMALL = MemoryBusOptions(queue_messages_max=1_000, turn_messages_max=16)
BUSES: dict[str, Callable[[NatsServer], Bus]] = {
    "memory": lambda server: MemoryBus(SMALL),
    "nats": lambda server: NatsBus("test", NatsOptions(servers=(server.url,)), SMALL),
}


@pytest.fixture(scope="module")
def nats_server() -> Iterator[NatsServer]:
    with running_nats_server() as server:
        yield server


@pytest.fixture(params=BUSES)
async def bus(request: pytest.FixtureRequest, nats_server: NatsServer) -> AsyncIterator[Bus]:
    made = BUSES[request.param](nats_server)
    await made.start()
    yield made
    await made.stop()


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.001)


async def test_every_subscriber_of_the_topic_gets_every_payload_in_order(bus: Bus) -> None:
    first: list[bytes] = []
    second: list[bytes] = []
    bus.subscribe("facts.chandler", first.append)
    bus.subscribe("facts.chandler", second.append)
    sent = [f"{n}".encode() for n in range(200)]
    for payload in sent:
        bus.publish("facts.chandler", payload)
    await until(lambda: len(first) == len(second) == 200)
    assert first == second == sent


async def test_topics_are_exact(bus: Bus) -> None:
    got: list[bytes] = []
    bus.subscribe("facts.tysons", got.append)
    bus.publish("facts.chandler", b"other")
    bus.publish("facts", b"parent")
    bus.publish("facts.tysons.x", b"child")
    bus.publish("facts.tysons", b"mine")
    await until(lambda: bool(got))
    assert got == [b"mine"]


async def test_publish_never_calls_a_subscriber_itself(bus: Bus) -> None:
    got: list[bytes] = []
    bus.subscribe("t", got.append)
    bus.publish("t", b"1")
    assert got == []
    await until(lambda: got == [b"1"])


async def test_a_callback_may_publish_subscribe_and_unsubscribe(bus: Bus) -> None:
    got: list[bytes] = []

    def first(payload: bytes) -> None:
        stop_first()
        bus.subscribe("t", got.append)
        bus.publish("t", payload + b"!")

    stop_first = bus.subscribe("t", first)
    bus.publish("t", b"1")
    await until(lambda: got == [b"1!"])


async def test_nothing_comes_after_unsubscribe(bus: Bus) -> None:
    gone: list[bytes] = []
    stays: list[bytes] = []
    unsubscribe = bus.subscribe("t", gone.append)
    bus.subscribe("t", stays.append)
    bus.publish("t", b"1")
    unsubscribe()
    unsubscribe()
    bus.publish("t", b"2")
    await until(lambda: stays == [b"1", b"2"])
    assert gone == []


async def test_a_failing_callback_harms_nobody_else(bus: Bus) -> None:
    got: list[bytes] = []

    def fails(payload: bytes) -> None:
        raise RuntimeError(payload)

    bus.subscribe("t", fails)
    bus.subscribe("t", got.append)
    bus.publish("t", b"1")
    bus.publish("t", b"2")
    await until(lambda: got == [b"1", b"2"])


async def test_a_flood_is_bounded_drops_and_then_works_again(bus: Bus) -> None:
    got: list[bytes] = []
    bus.subscribe("t", got.append)
    for _ in range(50_000):
        bus.publish("t", b"flood")
    assert len(got) == 0
    await until(lambda: len(got) >= 1)
    await asyncio.sleep(0.05)
    bus.publish("t", b"after")
    await until(lambda: got[-1] == b"after")
    assert len(got) <= 50_001


async def test_a_flood_on_one_topic_lets_the_loop_breathe(bus: Bus) -> None:
    got: list[bytes] = []
    turns = 0
    bus.subscribe("t", got.append)
    for _ in range(500):
        bus.publish("t", b"x")
    while len(got) < 500:
        turns += 1
        await asyncio.sleep(0)
    assert turns > 1


@pytest.mark.parametrize("name", BUSES)
async def test_subscribed_before_start_and_silent_after_stop(name: str, nats_server: NatsServer) -> None:
    bus, got = BUSES[name](nats_server), list[bytes]()
    bus.subscribe("t", got.append)
    bus.publish("t", b"too early")
    assert not bus.connected
    await bus.start()
    assert bus.connected
    bus.publish("t", b"1")
    await bus.stop()
    await bus.stop()
    bus.publish("t", b"too late")
    await asyncio.sleep(0.01)
    assert got == [b"1"]
    assert not bus.connected


async def test_the_memory_bus_drops_the_newest_of_a_full_queue() -> None:
    bus, got = MemoryBus(MemoryBusOptions(queue_messages_max=3)), list[bytes]()
    await bus.start()
    bus.subscribe("t", got.append)
    for n in range(5):
        bus.publish("t", b"%d" % n)
    await until(lambda: len(got) == 3)
    assert got == [b"0", b"1", b"2"]
    await bus.stop()
