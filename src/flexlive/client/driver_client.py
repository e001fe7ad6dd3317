"""The driver's app as a library: one connection that comes back by itself, facts to iterate, commands to await."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from types import TracebackType
from typing import Self, assert_never

from flexlive.client.access import Access, Token
from flexlive.client.alarm import Alarm
from flexlive.client.backoff import Comeback
from flexlive.client.commands import DriverCommands
from flexlive.client.login import LoginRefusedError
from flexlive.client.mailbox import Mailbox
from flexlive.client.messages import Message, for_the_app
from flexlive.client.offline_store import OfflineStore
from flexlive.client.options import ClientClosedError, ClientOptions, Lagged, Observer, Silent
from flexlive.client.outbox import Outbox
from flexlive.client.socket import Socket, SocketClosed, open_socket
from flexlive.protocol.client_session import (
    Answered,
    Applied,
    ClientSession,
    CloseSocket,
    DriverState,
    Effect,
    Opened,
    PendingFull,
    SendFrame,
    Violation,
)
from flexlive.protocol.close_codes import Advice, CloseCode, advice
from flexlive.protocol.driver import (
    ACK_DELAY_SECONDS_MAX,
    UNACKED_CMDS_MAX,
    Command,
    Drain,
    Location,
    Point,
    Result,
    ServerMessage,
    Signal,
    Snapshot,
)


class DriverClient(DriverCommands):
    """`async with DriverClient(url, token, device_id) as client:`, then iterate it and await its commands.

    token: a Login; or an async callable that returns a fresh token (asked on every connect); or a token, with which
    close code 4401 ends the client. Reconnects with full-jitter back-off and resumes until closed or told not to come
    again; a pending command is answered across reconnects under the same cmd. store: also across restarts of the app;
    it names the device then, instead of device_id.
    """

    def __init__(
        self,
        url: str,
        token: Token,
        device_id: str | None = None,
        *,
        store: OfflineStore | None = None,
        options: ClientOptions | None = None,
        observer: Observer | None = None,
        draw: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        device = store.device_id if device_id is None and store is not None else device_id
        if device is None or (device_id is not None and store is not None):
            raise ValueError("a client has either a device_id or a store, which names the device")
        self._url, self._access = url, Access(token)
        self.options = options or ClientOptions()
        self._observer: Observer = observer or Silent()
        self._draw, self._clock = draw, clock
        self._session = ClientSession(
            app_version=self.options.app_version,
            device_id=device,
            draw=draw,
            refusals_max=self.options.rate_limit_retries_max,
            opening_seconds_max=self.options.opening_timeout_seconds,
        )
        self._outbox = Outbox(store, draw)
        self._session.state.inbox_seq = self._outbox.inbox_seq
        for command in self._outbox.left_over:
            self._session.command(command, clock())
        self._mailbox: Mailbox[Message] = Mailbox(self.options.messages_max)
        self._points: deque[Point] = deque(maxlen=self.options.points_kept_max)
        self._position: Point | None = None
        self._socket: Socket | None = None
        self._live = False
        self._opened_count = 0
        self._alarm = Alarm(self._tick, clock)
        self._tasks: set[asyncio.Task[None]] = set()
        self._comeback = Comeback(self.options.backoff, draw)
        self._ended: ClientClosedError | None = None

    @property
    def state(self) -> DriverState:
        """What the driver knows now: offers, routes, presence."""
        return self._session.state

    @property
    def connected(self) -> bool:
        """Whether a session is live at this moment."""
        return self._live

    async def all_answered(self) -> None:
        """Waits until no command waits for its answer any more."""
        await self._outbox.emptied()

    async def __aenter__(self) -> Self:
        self._spawn(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Ends the connection and fails what still waits."""
        self._end(ClientClosedError(1000, "closed by the app"))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def unanswered(self) -> tuple[Command, ...]:
        """Commands without an answer, oldest first; with a store also those of an earlier run."""
        return self._outbox.left_over

    async def __aiter__(self) -> AsyncIterator[Message | Lagged]:
        """Facts and state as they come, a `Snapshot` whenever everything is new, `Lagged` after a backlog, and a
        `LateAnswer` to a command that nobody waits for.

        Raises ClientClosedError when the server wants this client gone; ends quietly after `aclose`. The inbox of a
        snapshot counts as shown when the next message is asked for.
        """
        async for message in self._mailbox.read():
            yield message
            if isinstance(message, Snapshot) and message.inbox:
                self._outbox.shown(max(item.inbox_seq for item in message.inbox))

    async def command(self, command: Command) -> Result:
        """Sends a command and waits for its one answer, over as many connections as that takes.

        Raises TimeoutError after command_timeout_seconds (its outcome is then unknown, not refused, and comes as a
        `LateAnswer`), PendingFull when too many wait already, StoreError when it cannot be kept, ClientClosedError
        when the client has ended.
        """
        self._observer.command_sent(command)
        async with asyncio.timeout(self.options.command_timeout_seconds):
            return await self._attempt(command)

    async def enqueue(self, command: Command) -> None:
        """Gives a command and does not wait: its answer comes as a `LateAnswer`. Raises as `command`, no TimeoutError.

        With a store it is on disk when this returns, and is carried out even if the app dies now.
        """
        self._observer.command_sent(command)
        await self._give(command)

    async def signal(self, message: Signal) -> None:
        """Sends a signal if there is a live session; a signal is never repeated."""
        if self._live:
            await self._carry_out(self._session.signal(message, self._clock()))

    async def send_location(self, points: Sequence[Point]) -> None:
        """GPS fixes, oldest first. Without a connection the newest points_kept_max are kept and sent later."""
        self._points.extend(points)
        self._position = self._points[-1] if self._points else self._position
        if self._live and self._points:
            batch = tuple(self._points)
            self._points.clear()
            await self.signal(Location(points=batch))

    def next_cmd(self) -> str:
        """A command id no other command of this device has."""
        return self._outbox.next_cmd()

    async def _attempt(self, command: Command) -> Result:
        answer = self._outbox.expect(command.cmd)
        try:
            await self._give(command)
            return await answer
        finally:
            self._outbox.forget(command.cmd)

    async def _give(self, command: Command) -> None:
        if self._ended is not None:
            raise self._ended
        if command.cmd not in self._session.pending and len(self._session.pending) >= UNACKED_CMDS_MAX:
            raise PendingFull
        self._outbox.put(command)
        await self._carry_out(self._session.command(command, self._clock()))

    async def _run(self) -> None:
        try:
            await self._stay_connected()
        except Exception as error:
            # A mistake in here, or in the app's token function: better a loud end than an app that waits forever.
            self._end(ClientClosedError(1006, f"{type(error).__name__}: {error}"))
            raise

    async def _stay_connected(self) -> None:
        while self._ended is None:
            opened_before = self._opened_count
            code, reason = await self._connection()
            self._session.lost(self._clock())
            self._observer.closed(code, reason)
            match advice(code):
                case Advice.STOP:
                    self._end(ClientClosedError(code, reason))
                case Advice.REFRESH_TOKEN if not self._access.expired():
                    self._end(ClientClosedError(code, reason))
                case _:
                    opened = self._opened_count > opened_before
                    await asyncio.sleep(self._comeback.wait_seconds(opened=opened))

    async def _connection(self) -> tuple[int, str]:
        """One socket from dial to close; returns why it ended."""
        try:
            async with open_socket(self._url, await self._access.fresh(), self.options) as socket:
                await socket.send(self._session.open(self._position, self._clock()))
                self._socket = socket
                self._schedule()
                while True:
                    frame = await socket.receive()
                    self._observer.frame_received(frame)
                    ack_delay_seconds = self._draw() * ACK_DELAY_SECONDS_MAX
                    await self._carry_out(self._session.received(frame, self._clock(), ack_delay_seconds))
        except SocketClosed as closed:
            return closed.code, closed.reason
        except LoginRefusedError as error:
            return CloseCode.FORBIDDEN, f"log in again: {error.code}"
        except OSError as error:
            # The token could not be fetched: the same network that a socket needs.
            return 1006, f"{type(error).__name__}: {error}"
        finally:
            self._socket, self._live = None, False
            self._schedule()

    async def _carry_out(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case SendFrame(data=data):
                    if self._socket is not None:
                        await self._socket.send(data)
                case CloseSocket(code=code, reason=reason):
                    if self._socket is not None:
                        await self._socket.close(code, reason)
                case Opened(resumed=resumed):
                    self._live = True
                    self._opened_count += 1
                    self._observer.opened(resumed)
                case Applied(message=message):
                    self._hand_out(message)
                case Answered(result=result):
                    late = self._outbox.settle(result)
                    if late is not None:
                        self._mailbox.put(late)
                case Violation(text=text):
                    self._observer.violation(text)
                case _:
                    assert_never(effect)
        self._schedule()

    def _hand_out(self, message: ServerMessage) -> None:
        if isinstance(message, Drain):
            self._comeback.told(message.reconnect_after_ms / 1000)
        elif (concerns := for_the_app(message)) is not None:
            self._mailbox.put(concerns)

    def _schedule(self) -> None:
        self._alarm.set(math.inf if self._socket is None else self._session.next_deadline)

    def _tick(self) -> None:
        effects = self._session.tick(self._clock())
        if effects:
            self._spawn(self._carry_out(effects))
        else:
            self._schedule()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _end(self, error: ClientClosedError) -> None:
        if self._ended is None:
            self._ended = error
            self._mailbox.end(error)
            self._outbox.end(error)
