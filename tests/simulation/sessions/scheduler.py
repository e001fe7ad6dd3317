"""Coroutines and deferred calls in a fixed order, on a clock that moves when told. No event loop, no threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Query(Generic[T]):
    """Something asked of the database: done at one moment (`perform`), answered at a later one."""

    def __init__(self, scheduler: Scheduler, kind: str, perform: Callable[[], T]) -> None:
        self.kind = kind
        self._scheduler, self._perform = scheduler, perform
        self._value: T
        self.performed = False
        self._answered = False
        self._error: Exception | None = None
        self._asker: Coroutine[Any, Any, Any] | None = None
        scheduler.queries.append(self)

    def __await__(self) -> Generator[Query[T], None, T]:
        if not self._answered:
            yield self
        if self._error is not None:
            raise self._error
        return self._value

    def perform(self) -> None:
        if not self.performed:
            self._value = self._perform()
            self.performed = True

    def answer(self, error: Exception | None = None) -> None:
        """The asker goes on; an error is what it learns instead of what was done."""
        if error is None:
            self.perform()
        self._answered, self._error = True, error
        if self in self._scheduler.queries:
            self._scheduler.queries.remove(self)
        if self._asker is not None:
            self._scheduler.ready.append(self._asker)

    def asked_by(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._asker = coroutine


class Scheduler:
    """monotonic: seconds. queries: asked of the database and not answered, oldest first."""

    def __init__(self) -> None:
        self.monotonic_seconds = 1_000.0
        self.ready: deque[Coroutine[Any, Any, Any]] = deque()
        self.deferred: deque[Callable[[], None]] = deque()
        self.queries: list[Query[Any]] = []

    def monotonic(self) -> float:
        return self.monotonic_seconds

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.ready.append(work)

    def run(self) -> None:
        """Until everything waits for the database."""
        while self.ready or self.deferred:
            while self.deferred:
                self.deferred.popleft()()
            if self.ready:
                coroutine = self.ready.popleft()
                try:
                    query = coroutine.send(None)
                except StopIteration:
                    continue
                query.asked_by(coroutine)
