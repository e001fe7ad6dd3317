"""Commands on their way: who waits for which answer, and what is kept on disk until it has come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from flexlive.client.offline_store import OfflineStore
from flexlive.protocol.driver import Command, Result


@dataclass(frozen=True, slots=True)
class LateAnswer:
    """The answer to a command nobody waits for any more: queued, timed out, or given before the app was started anew.

    Code `rate_limited`: nothing was decided, and it is not tried again by itself.
    """

    command: Command
    result: Result


class Outbox:
    """store: None keeps everything in memory only. draw: uniform in [0, 1)."""

    def __init__(self, store: OfflineStore | None, draw: Callable[[], float]) -> None:
        self._store = store
        self._given = {} if store is None else {command.cmd: command for command in store.commands()}
        self._waiting: dict[str, asyncio.Future[Result]] = {}
        # The drawn part keeps apart what a phone restored from a backup gives twice the same number.
        starts = "" if store is None else f"{store.starts}-"
        self._prefix = f"{starts}{int(draw() * 2**40):010x}"
        self._count = 0
        self._changed = asyncio.Event()

    @property
    def left_over(self) -> tuple[Command, ...]:
        """Without an answer, oldest first."""
        return tuple(self._given.values())

    @property
    def inbox_seq(self) -> int:
        return 0 if self._store is None else self._store.inbox_seq

    def next_cmd(self) -> str:
        """An id no other command of this device has."""
        self._count += 1
        return f"{self._prefix}-{self._count}"

    def put(self, command: Command) -> None:
        """Before it is sent. PendingFull or StoreError: it is not kept, and must not be sent."""
        if self._store is not None:
            self._store.put(command)
        self._given[command.cmd] = command

    def drop(self, cmd: str) -> None:
        """It will not be sent."""
        self._given.pop(cmd, None)
        self._changed.set()
        if self._store is not None:
            self._store.answered(cmd)

    async def emptied(self) -> None:
        """Waits until nothing waits for its answer."""
        while self._given:
            self._changed.clear()
            await self._changed.wait()

    def expect(self, cmd: str) -> asyncio.Future[Result]:
        """The answer to come; ask before the command is sent, and `forget` it when nobody waits any more."""
        waiting = self._waiting[cmd] = asyncio.get_running_loop().create_future()
        return waiting

    def forget(self, cmd: str) -> None:
        self._waiting.pop(cmd, None)

    def settle(self, result: Result) -> LateAnswer | None:
        """The one answer has come; what nobody waits for is returned."""
        command = self._given.get(result.cmd)
        self.drop(result.cmd)
        waiting = self._waiting.get(result.cmd)
        if waiting is not None and not waiting.done():
            waiting.set_result(result)
            return None
        return None if command is None else LateAnswer(command, result)

    def shown(self, inbox_seq: int) -> None:
        """The app has seen the inbox up to here."""
        if self._store is not None and inbox_seq > self._store.inbox_seq:
            self._store.inbox_shown(inbox_seq)

    def end(self, error: Exception) -> None:
        """Fails who still waits; what is on disk stays there."""
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(error)
