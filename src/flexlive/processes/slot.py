"""A place among the server processes: its own listening socket on the shared port, and whoever serves on it now."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from flexlive.processes.child import READY

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessOptions:
    """ready_seconds_max: from the start of a process to its first answer. stop_seconds_max: for draining, then it is
    killed. A process that dies is started again after retry_seconds_min, doubled each time up to retry_seconds_max
    unless it lived for settled_seconds."""

    ready_seconds_max: float = 120.0
    stop_seconds_max: float = 24.0
    retry_seconds_min: float = 0.1
    retry_seconds_max: float = 5.0
    settled_seconds: float = 30.0


class Child:
    """One server process."""

    def __init__(self, process: asyncio.subprocess.Process, link: socket.socket) -> None:
        self.process = process
        self.started_at = time.monotonic()
        self._link = link

    @property
    def pid(self) -> int:
        return self.process.pid

    async def ready(self, seconds_max: float) -> bool:
        """Wait until it serves; False when it ended or took too long."""
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(seconds_max):
                return await asyncio.get_running_loop().sock_recv(self._link, 1) == READY
        return False

    async def stop(self, seconds_max: float) -> None:
        """Drain it; killed when it takes too long. Returns when it is gone."""
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(seconds_max):
                await self.process.wait()
        except TimeoutError:
            _log.error("process_killed", pid=self.pid, after_seconds=seconds_max)
            await self.kill()

    async def kill(self) -> None:
        self._signal(signal.SIGKILL)
        await self.process.wait()

    async def ended(self) -> int:
        """Its exit status (negative: the signal), once it has ended."""
        status = await self.process.wait()
        self._link.close()
        return status

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)


class Slot:
    """number: from 0. bind: makes a socket on the shared port, on which a process then listens. environ: of the
    processes. on_end(pid): called when one has ended.

    The socket is handed from a process to its successor: what has connected in between is served, not cut off. One
    whose process died is closed, so that phones are sent to the others at once.
    """

    def __init__(
        self,
        number: int,
        bind: Callable[[], socket.socket],
        environ: Mapping[str, str],
        options: ProcessOptions,
        on_end: Callable[[int], None],
    ) -> None:
        self.number = number
        self._bind = bind
        self._listener: socket.socket | None = None
        self._environ = environ
        self._options = options
        self._on_end = on_end
        self._child: Child | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()
        self._stopping = False

    @property
    def pid(self) -> int | None:
        """Of the process that serves here now."""
        return None if self._child is None else self._child.pid

    async def start(self) -> bool:
        """The first process; False when it does not come up."""
        async with self._changing:
            self._child = await self._successor()
            return self._child is not None

    async def replace(self) -> bool:
        """Another process, ready before the present one is drained; False: it did not come up, the old one stays."""
        async with self._changing:
            if self._stopping:
                return False
            successor = await self._successor()
            if successor is None:
                return False
            former, self._child = self._child, successor
            if former is not None:
                # Whoever stops us meanwhile waits for it, too.
                self._leaving = asyncio.create_task(self._end(former))
                await asyncio.shield(self._leaving)
            return True

    async def keep(self) -> None:
        """Start again what dies, until cancelled."""
        failures = 0
        while True:
            child = self._child
            if child is None:
                failures += 1
            else:
                status = await child.ended()
                if child is not self._child:
                    continue
                lived_seconds = time.monotonic() - child.started_at
                failures = 0 if lived_seconds >= self._options.settled_seconds else failures + 1
                if self._stopping:
                    return
                self._close_listener()
                self._on_end(child.pid)
                _log.error("process_died", slot=self.number, pid=child.pid, status=status)
            options = self._options
            await asyncio.sleep(min(options.retry_seconds_max, options.retry_seconds_min * 2 ** min(failures, 16)))
            async with self._changing:
                if self._child is child and not self._stopping:
                    self._child = await self._successor()

    async def stop(self) -> None:
        """Drain and end the process that serves here; no other follows."""
        self._stopping = True
        # Nobody may connect to a socket that will not be served any more.
        self._close_listener()
        ending = [] if self._leaving is None else [self._leaving]
        if self._child is not None:
            ending.append(asyncio.create_task(self._end(self._child)))
        await asyncio.gather(*ending)

    async def _end(self, child: Child) -> None:
        await child.stop(self._options.stop_seconds_max)
        await child.ended()
        self._on_end(child.pid)

    async def _successor(self) -> Child | None:
        child = await self._spawn()
        _log.info("process_started", slot=self.number, pid=child.pid)
        try:
            if await child.ready(self._options.ready_seconds_max):
                return child
        except asyncio.CancelledError:
            await child.kill()
            raise
        await child.kill()
        _log.error("process_not_ready", slot=self.number, pid=child.pid, status=await child.ended())
        self._on_end(child.pid)
        return None

    def _close_listener(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def _spawn(self) -> Child:
        if self._listener is None:
            self._listener = self._bind()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "flexlive",
                "serve-process",
                "--listener",
                str(self._listener.fileno()),
                "--parent",
                str(theirs.fileno()),
                env=dict(self._environ),
                pass_fds=(self._listener.fileno(), theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                # Ctrl-C reaches every process of our terminal's group; it is we who end these.
                start_new_session=True,
            )
        return Child(process, ours)
