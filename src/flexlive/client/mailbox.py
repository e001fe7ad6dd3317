"""Messages on their way to the app's `async for`: bounded, and honest about what it let go."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

from flexlive.client.options import ClientClosedError, Lagged

M = TypeVar("M")


class Mailbox(Generic[M]):
    """One writer that never waits, one reader that does."""

    def __init__(self, messages_max: int) -> None:
        self._messages_max = messages_max
        self._messages: deque[M | Lagged] = deque()
        self._arrived = asyncio.Event()
        self._end: ClientClosedError | None = None

    def put(self, message: M) -> None:
        """Adds a message; when messages_max already wait, they become one `Lagged`."""
        if len(self._messages) >= self._messages_max:
            dropped = sum(m.dropped if isinstance(m, Lagged) else 1 for m in self._messages)
            self._messages.clear()
            self._messages.append(Lagged(dropped))
        self._messages.append(message)
        self._arrived.set()

    def end(self, error: ClientClosedError) -> None:
        """Nothing more comes; the reader first gets what is here."""
        self._end = self._end or error
        self._arrived.set()

    async def read(self) -> AsyncIterator[M | Lagged]:
        """Raises the error given to `end`, unless it was an ordinary close (1000)."""
        while True:
            while self._messages:
                yield self._messages.popleft()
            if self._end is not None:
                if self._end.code == 1000:
                    return
                raise self._end
            self._arrived.clear()
            await self._arrived.wait()
