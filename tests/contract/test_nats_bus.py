"""The NATS bus between processes: two buses on one server, and a server that dies, falls silent, or refuses."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexlive.realtime.buses import nats_connection
from flexlive.realtime.buses.nats import NatsBus, NatsOptions
from flexlive.realtime.buses.nats_server import NatsServer, NatsServerError, running_nats_server

SECONDS_MAX = 20.0


@pytest.fixture(scope="module")
def server() -> Iterator[NatsServer]:
    with running_nats_server() as started:
        yield started


@asynccontextmanager
async def started_bus(url: str, deployment: str = "test", **options: object) -> AsyncIterator[NatsBus]:
    bus = NatsBus(deployment, NatsOptions(servers=(url,), **options))  # type: ignore[arg-type]
    await bus.start()
    try:
        yield bus
    finally:
        await bus.stop()


async def until(condition: Callable[[], bool], seconds: float = SECONDS_MAX) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def heard(sender: NatsBus, topic: str, got: list[bytes]) -> None:
    """Until the receiver's subscription is known to the server."""
    async with asyncio.timeout(SECONDS_MAX):
        while b"?" not in got:
            sender.publish(topic, b"?")
            await asyncio.sleep(0.01)


@settings(max_examples=12, deadline=None)
@given(payloads=st.lists(st.binary(max_size=300), min_size=1, max_size=40), number=st.integers(0, 2**32))
def test_another_process_gets_every_payload_as_it_is(server: NatsServer, payloads: list[bytes], number: int) -> None:
    async def run() -> None:
        got: list[bytes] = []
        async with started_bus(server.url) as here, started_bus(server.url) as there:
            there.subscribe(f"facts.m{number}", got.append)
            await heard(here, f"facts.m{number}", got)
            await asyncio.sleep(0.02)
            first = len(got)
            for payload in payloads:
                here.publish(f"facts.m{number}", payload)
            await until(lambda: len(got) - first >= len(payloads))
            assert got[first:] == payloads

    asyncio.run(run())


async def test_topics_are_exact_and_deployments_are_apart(server: NatsServer) -> None:
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(started_bus(server.url))
        there = await stack.enter_async_context(started_bus(server.url))
        foreign = await stack.enter_async_context(started_bus(server.url, "other"))
        got: list[bytes] = []
        theirs: list[bytes] = []
        there.subscribe("facts.tysons", got.append)
        foreign.subscribe("facts.tysons", theirs.append)
        await heard(here, "facts.tysons", got)
        for topic in ("facts", "facts.tysons.x", "facts.chandler"):
            here.publish(topic, b"not for you")
        here.publish("facts.tysons", b"last")
        await until(lambda: b"last" in got)
        assert set(got) == {b"?", b"last"}
        assert theirs == []


async def test_own_messages_come_once(server: NatsServer) -> None:
    async with started_bus(server.url) as bus, started_bus(server.url) as other:
        mine: list[bytes] = []
        theirs: list[bytes] = []
        bus.subscribe("t", mine.append)
        other.subscribe("t", theirs.append)
        await heard(bus, "t", theirs)
        bus.publish("t", b"once")
        await until(lambda: b"once" in theirs)
        await asyncio.sleep(0.05)
        assert mine.count(b"once") == theirs.count(b"once") == 1


async def test_the_last_of_several_subscribers_ends_the_subscription(server: NatsServer) -> None:
    async with started_bus(server.url) as here, started_bus(server.url) as there:
        first: list[bytes] = []
        second: list[bytes] = []
        witness: list[bytes] = []
        stop_first = there.subscribe("t", first.append)
        stop_second = there.subscribe("t", second.append)
        there.subscribe("w", witness.append)
        await heard(here, "t", second)
        await heard(here, "w", witness)
        stop_first()
        stop_first()
        here.publish("t", b"1")
        await until(lambda: b"1" in second)
        assert b"1" not in first
        stop_second()
        here.publish("t", b"2")
        here.publish("w", b"2")
        await until(lambda: b"2" in witness)
        assert b"2" not in second
        again: list[bytes] = []
        there.subscribe("t", again.append)
        await heard(here, "t", again)


async def test_a_flood_is_bounded_and_nobody_waits_for_it(server: NatsServer) -> None:
    async with started_bus(server.url, outgoing_messages_max=1_000) as here, started_bus(server.url) as there:
        got: list[bytes] = []
        there.subscribe("t", got.append)
        await heard(here, "t", got)
        began = len(got)
        for _ in range(50_000):
            here.publish("t", b"flood")
        await until(lambda: len(got) > began)
        here.publish("t", b"x" * (9 * 1024 * 1024))
        await until(lambda: len(got) - began >= 1_000)
        here.publish("t", b"after")
        await until(lambda: b"after" in got)
        assert len(got) - began <= 1_001 + 50


async def test_a_server_that_dies_and_comes_back(server: NatsServer) -> None:
    with running_nats_server() as mortal:
        async with started_bus(mortal.url) as here, started_bus(mortal.url) as there:
            got: list[bytes] = []
            own: list[bytes] = []
            there.subscribe("t", got.append)
            here.subscribe("t", own.append)
            await heard(here, "t", got)
            os.kill(mortal.pid, signal.SIGKILL)
            await until(lambda: not here.connected and not there.connected)
            before = time.monotonic()
            here.publish("t", b"nobody else hears this")
            assert time.monotonic() - before < 1.0
            await until(lambda: b"nobody else hears this" in own)
            later: list[bytes] = []
            there.subscribe("late", later.append)
            await until(lambda: not mortal.running)
            mortal.start()
            await until(lambda: here.connected and there.connected)
            here.publish("t", b"back")
            here.publish("late", b"back")
            await until(lambda: b"back" in got and b"back" in later)
            assert b"nobody else hears this" not in got


async def test_a_server_that_falls_silent_counts_as_gone() -> None:
    with running_nats_server() as silent:
        async with started_bus(silent.url, check_seconds=0.1, round_trip_seconds_max=0.5) as bus:
            os.kill(silent.pid, signal.SIGSTOP)
            try:
                # Fills what the kernel takes: neither the caller nor the end of the connection waits for the server.
                for _ in range(64):
                    bus.publish("t", b"x" * 262_144)
                await until(lambda: not bus.connected)
            finally:
                os.kill(silent.pid, signal.SIGCONT)
            await until(lambda: bus.connected)


async def test_it_starts_without_a_server_and_finds_it_later() -> None:
    late = NatsServer()
    try:
        async with started_bus(late.url, start_seconds_max=0.2) as bus:
            assert not bus.connected
            late.start()
            await until(lambda: bus.connected)
    finally:
        late.stop()


async def test_any_server_of_the_list_will_do(server: NatsServer) -> None:
    gone = NatsServer()
    gone.stop()
    bus = NatsBus("test", NatsOptions(servers=(gone.url, server.url)))
    await bus.start()
    try:
        await until(lambda: bus.connected)
    finally:
        await bus.stop()


async def test_a_refused_login_is_told_and_tried_again(server: NatsServer) -> None:
    token, _, address = server.url.removeprefix("nats://").partition("@")
    with pytest.raises(Exception, match="Authorization Violation"):
        await nats_connection.connect(NatsOptions(servers=(f"nats://wrong@{address}",)))
    async with started_bus(f"nats://wrong@{address}", start_seconds_max=0.2) as bus:
        assert not bus.connected
    assert token not in address


async def test_tls_with_a_certificate_of_our_own_authority(tmp_path: Path) -> None:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    lines = f'tls {{ cert_file: "{tmp_path}/cert.pem", key_file: "{tmp_path}/key.pem" }}\n'
    with running_nats_server(lines) as secure:
        async with started_bus(secure.url, tls_ca=tmp_path / "ca.pem") as bus:
            assert bus.connected
        async with started_bus(secure.url, start_seconds_max=0.3) as stranger:
            assert not stranger.connected


def test_the_server_dies_with_whoever_started_it() -> None:
    code = (
        "import time\n"
        "from flexlive.realtime.buses.nats_server import NatsServer\n"
        "server = NatsServer(); server.start(); print(server.pid, flush=True); time.sleep(60)\n"
    )
    starter = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    starter.kill()
    starter.wait()
    deadline = time.monotonic() + SECONDS_MAX
    while _lives(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_server_that_cannot_start_says_why(server: NatsServer) -> None:
    with pytest.raises(NatsServerError, match="tls"), running_nats_server("tls { nonsense: true }\n"):
        pass


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
