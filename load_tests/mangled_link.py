"""A bad link between phones and a server: a relay that loses, doubles, reorders and swallows WebSocket frames.

TCP itself never does that to one connection; what does is everything above it that retries: a proxy that repeats a
request, an app's own queue, a gateway that fails over. Frames travel as they are; only the opening HTTP exchange and
control frames keep their order, and a phone's first frame is never doubled, since the protocol has it come once.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import cast

from load_tests.frames import CLOSE, HEAD_END, Frame, FrameSplitter
from load_tests.mangler import LinkFaults, Mangler

HOST = "127.0.0.1"


class _Direction:
    """What one side says, on its way to the other. first_is_single: its first frame may be lost but not doubled."""

    def __init__(self, link: BadLink, *, first_is_single: bool) -> None:
        self._link = link
        self._first_is_single = first_is_single
        self._head: bytes | None = b""
        self._splitter = FrameSplitter()
        self._mangler = Mangler(link.faults, link.random.random, link.counts)
        self._timer: asyncio.TimerHandle | None = None
        self.silent = False
        # Until the two ends are joined: what a phone says before it is answered is its request.
        self.waiting: list[bytes] = []
        self.write: Callable[[bytes], None] = self.waiting.append

    def take(self, data: bytes) -> None:
        if self._head is not None:
            # The handshake passes as it is.
            self._head += data
            head, found, rest = self._head.partition(HEAD_END)
            if not found:
                return
            self._head = None
            self.write(head + found)
            data = rest
        for frame in self._splitter.feed(data):
            self._frame(frame)

    def join(self, write: Callable[[bytes], None]) -> None:
        self.write = write
        write(b"".join(self.waiting))
        self.waiting.clear()

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def heal(self) -> None:
        self.silent = False
        self._write_all(self._mangler.flush())

    def _frame(self, frame: Frame) -> None:
        first, self._first_is_single = self._first_is_single, False
        if self.silent:
            self._link.counts["swallowed"] += 1
        elif not self._link.faulty or not frame.whole_text:
            self._write_all(self._mangler.flush() if frame.opcode == CLOSE or not self._link.faulty else [])
            self.write(frame.raw)
        elif first:
            if not self._mangler.loses():
                self.write(frame.raw)
        else:
            self._write_all(self._mangler.take(frame.raw))
            self._schedule()

    def _write_all(self, frames: list[bytes]) -> None:
        for frame in frames:
            self.write(frame)

    def _schedule(self) -> None:
        if self._timer is None and len(self._mangler):
            self._timer = asyncio.get_running_loop().call_later(self._mangler.delay_seconds(), self._let_go)

    def _let_go(self) -> None:
        self._timer = None
        if len(self._mangler):
            frame = self._mangler.let_go()
            if not self.silent:
                self.write(frame)
            self._schedule()


class _End(asyncio.Protocol):
    """One of the two sockets of a connection; takes bytes only once it knows where they go."""

    def __init__(self, outward: _Direction, made: Callable[[], None], lost: Callable[[], None]) -> None:
        self._outward, self._made, self._lost = outward, made, lost
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._made()

    def data_received(self, data: bytes) -> None:
        self._outward.take(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._lost()


class _Connection:
    def __init__(self, link: BadLink) -> None:
        self._link = link
        self._up = _Direction(link, first_is_single=True)
        self._down = _Direction(link, first_is_single=False)
        self.phone = _End(self._up, self._accepted, lambda: self._lost(self._up))
        self._server = _End(self._down, self._join, lambda: self._lost(self._down))
        self._silence: asyncio.TimerHandle | None = None
        self._closed = False

    def _accepted(self) -> None:
        self._link.spawn(self._dial())

    async def _dial(self) -> None:
        try:
            # An address of its own, as a phone has: the server counts sockets by address.
            local = (self._link.address(), 0)
            await asyncio.get_running_loop().create_connection(
                lambda: self._server, HOST, self._link.target_port, local_addr=local
            )
        except OSError:
            self.close()

    def _join(self) -> None:
        assert self.phone.transport is not None
        assert self._server.transport is not None
        if self._closed:
            self.close()
            return
        self._up.join(self._server.transport.write)
        self._down.join(self.phone.transport.write)
        self._plan_silence()

    def _lost(self, outward: _Direction) -> None:
        # A silent direction does not carry the news of the end either.
        if not outward.silent:
            self.close()

    def close(self) -> None:
        """Both ends at once, as when the radio is gone. Idempotent."""
        self._closed = True
        self._link.forget(self)
        if self._silence is not None:
            self._silence.cancel()
        for direction in (self._up, self._down):
            direction.end()
        for end in (self.phone, self._server):
            if end.transport is not None:
                # What was written still goes out: a server's close frame is the last thing it says.
                end.transport.close()

    def heal(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
        self._up.heal()
        self._down.heal()
        if not self.whole:
            self.close()

    @property
    def whole(self) -> bool:
        """Whether neither end has hung up."""
        ends = (self.phone.transport, self._server.transport)
        return all(transport is not None and not transport.is_closing() for transport in ends)

    def _plan_silence(self) -> None:
        seconds = self._link.random.expovariate(1 / self._link.faults.half_open_every_seconds)
        self._silence = asyncio.get_running_loop().call_later(seconds, self._go_silent)

    def _go_silent(self) -> None:
        if not self._link.faulty:
            return
        self._link.counts["half_open"] += 1
        draw = self._link.random
        silent = draw.choice(((self._up,), (self._down,), (self._up, self._down)))
        for direction in silent:
            direction.silent = True
        faults = self._link.faults
        seconds = draw.uniform(faults.half_open_seconds_min, faults.half_open_seconds_max)
        self._silence = asyncio.get_running_loop().call_later(seconds, self._end_silence)

    def _end_silence(self) -> None:
        if not self.whole or self._link.random.random() < self._link.faults.cut_share:
            self._link.counts["cut"] += 1
            self.close()
            return
        self._up.silent = self._down.silent = False
        self._plan_silence()


class BadLink:
    """All connections through one relay. counts: frames, dropped, duplicated, reordered, swallowed, half_open, cut."""

    def __init__(self, target_port: int, faults: LinkFaults, seed: int) -> None:
        self.faults = faults
        self.faulty = True
        self.counts: Counter[str] = Counter()
        self.random = random.Random(seed)
        self.port = 0
        self.target_port = target_port
        self._connections: set[_Connection] = set()
        self._dialling: set[asyncio.Task[None]] = set()

    def accepted(self) -> asyncio.Protocol:
        """The protocol of a phone's connection."""
        connection = _Connection(self)
        self._connections.add(connection)
        return connection.phone

    def heal(self) -> None:
        """From now on every frame arrives, once and in order."""
        self.faulty = False
        for connection in tuple(self._connections):
            connection.heal()

    def cut(self) -> None:
        for connection in tuple(self._connections):
            connection.close()

    def address(self) -> str:
        return f"127.{self.random.randrange(1, 255)}.{self.random.randrange(256)}.{self.random.randrange(1, 255)}"

    def forget(self, connection: _Connection) -> None:
        self._connections.discard(connection)

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._dialling.add(task)
        task.add_done_callback(self._dialling.discard)


@asynccontextmanager
async def bad_link_to(port: int, faults: LinkFaults, seed: int) -> AsyncGenerator[BadLink]:
    """A bad link to the server on this loopback port, as long as the block."""
    link = BadLink(port, faults, seed)
    listening = await asyncio.get_running_loop().create_server(link.accepted, HOST, 0, backlog=2048)
    link.port = listening.sockets[0].getsockname()[1]
    try:
        yield link
    finally:
        listening.close()
        link.cut()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(listening.wait_closed(), 2)
