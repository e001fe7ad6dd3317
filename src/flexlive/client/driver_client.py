"""The driver's app as a library: one connection that comes back by itself, facts to iterate, commands to await."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from types import TracebackType
from typing import Self, TypeAlias, assert_never, cast, get_args

from flexlive.client.alarm import Alarm
from flexlive.client.backoff import full_jitter
from flexlive.client.commands import DriverCommands
from flexlive.client.mailbox import Mailbox
from flexlive.client.options import ClientClosedError, ClientOptions, Lagged, Observer, Silent
from flexlive.client.socket import Socket, SocketClosed, open_socket
from flexlive.protocol.client_session import (
    Answered,
    Applied,
    ClientSession,
    CloseSocket,
    DriverState,
    Effect,
    Opened,
    SendFrame,
    Violation,
)
from flexlive.protocol.close_codes import Advice, advice
from flexlive.protocol.driver import (
    ACK_DELAY_SECONDS_MAX,
    Command,
    Drain,
    FactMessage,
    Location,
    Point,
    Result,
    ServerMessage,
    Signal,
    Skip,
    Snapshot,
    StateMessage,
)

Token: TypeAlias = str | Callable[[], Awaitable[str]]
Message: TypeAlias = FactMessage | StateMessage | Snapshot
_HANDED_OUT = get_args(FactMessage) + get_args(StateMessage) + (Snapshot,)


class DriverClient(DriverCommands):
    """`async with DriverClient(url, token, device_id) as client:`, then iterate it and await its commands.

    token: the access token, or an async callable that returns a fresh one (asked on every connect; close code 4401
    ends a client whose token is a plain string). Reconnects with full-jitter back-off and resumes until closed or
    told not to come again; a pending command is answered across reconnects under the same cmd.
    """

    def __init__(
        self,
        url: str,
        token: Token,
        device_id: str,
        *,
        options: ClientOptions | None = None,
        observer: Observer | None = None,
        draw: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url, self._token = url, token
        self.options = options or ClientOptions()
        self._observer: Observer = observer or Silent()
        self._draw, self._clock = draw, clock
        self._session = ClientSession(app_version=self.options.app_version, device_id=device_id)
        self._mailbox: Mailbox[Message] = Mailbox(self.options.messages_max)
        self._answers: dict[str, asyncio.Future[Result]] = {}
        self._points: deque[Point] = deque(maxlen=self.options.points_kept_max)
        self._position: Point | None = None
        self._all_answered = asyncio.Event()
        self._socket: Socket | None = None
        self._live = False
        self._opened_count = 0
        self._alarm = Alarm(self._tick, clock)
        self._tasks: set[asyncio.Task[None]] = set()
        self._drain_wait_seconds: float | None = None
        self._ended: ClientClosedError | None = None
        self._cmd_prefix = f"{int(draw() * 2**40):010x}"
        self._cmd_count = 0

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
        while self._session.pending:
            self._all_answered.clear()
            await self._all_answered.wait()

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

    def __aiter__(self) -> AsyncIterator[Message | Lagged]:
        """Facts and state as they come, a `Snapshot` whenever everything is new, `Lagged` after a backlog.

        Raises ClientClosedError when the server wants this client gone; ends quietly after `aclose`.
        """
        return self._mailbox.read()

    async def command(self, command: Command) -> Result:
        """Sends a command and waits for its one answer, over as many connections as that takes.

        Raises TimeoutError after command_timeout_seconds (its outcome is then unknown, not refused), PendingFull
        when too many wait already, ClientClosedError when the client has ended.
        """
        self._observer.command_sent(command)
        async with asyncio.timeout(self.options.command_timeout_seconds):
            result = await self._attempt(command)
            for _ in range(self.options.rate_limit_retries_max):
                if result.code != "rate_limited":
                    break
                await asyncio.sleep((result.retry_after_ms or 1000) / 1000)
                result = await self._attempt(command)
        return result

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
        self._cmd_count += 1
        return f"{self._cmd_prefix}-{self._cmd_count}"

    async def _attempt(self, command: Command) -> Result:
        if self._ended is not None:
            raise self._ended
        answer = self._answers[command.cmd] = asyncio.get_running_loop().create_future()
        try:
            await self._carry_out(self._session.command(command, self._clock()))
            return await answer
        finally:
            self._answers.pop(command.cmd, None)

    async def _run(self) -> None:
        try:
            await self._stay_connected()
        except Exception as error:
            # A mistake in here, or in the app's token function: better a loud end than an app that waits forever.
            self._end(ClientClosedError(1006, f"{type(error).__name__}: {error}"))
            raise

    async def _stay_connected(self) -> None:
        failures = 0
        while self._ended is None:
            opened_before = self._opened_count
            code, reason = await self._connection()
            self._session.lost(self._clock())
            self._observer.closed(code, reason)
            match advice(code):
                case Advice.STOP:
                    self._end(ClientClosedError(code, reason))
                case Advice.REFRESH_TOKEN if isinstance(self._token, str):
                    self._end(ClientClosedError(code, reason))
                case _:
                    failures = 0 if self._opened_count > opened_before else failures + 1
                    await self._pause(failures)

    async def _pause(self, failures: int) -> None:
        seconds, self._drain_wait_seconds = self._drain_wait_seconds, None
        await asyncio.sleep(full_jitter(failures, self.options.backoff, self._draw) if seconds is None else seconds)

    async def _connection(self) -> tuple[int, str]:
        """One socket from dial to close; returns why it ended."""
        try:
            token = self._token if isinstance(self._token, str) else await self._token()
            async with open_socket(self._url, token, self.options) as socket:
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
                    if not self._session.pending:
                        self._all_answered.set()
                    answer = self._answers.get(result.cmd)
                    if answer is not None and not answer.done():
                        answer.set_result(result)
                case Violation(text=text):
                    self._observer.violation(text)
                case _:
                    assert_never(effect)
        self._schedule()

    def _hand_out(self, message: ServerMessage) -> None:
        if isinstance(message, Drain):
            self._drain_wait_seconds = message.reconnect_after_ms / 1000
        elif isinstance(message, _HANDED_OUT) and not isinstance(message, Skip):
            self._mailbox.put(cast("Message", message))

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
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(error)
