"""Customers who keep their tracking page open, reconnect when it breaks, and notice what it leaves out."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from random import Random

import httpx
import msgspec

from flexlive.client.backoff import BackoffOptions, full_jitter
from flexlive.lab.book import Book, OrderStory
from flexlive.lab.sse import EventStreamError, EventStreamParser
from flexlive.lab.track_history import TrackHistory

# The server sends a comment every 15 s; a stream silent for longer than two of them is dead.
SILENCE_SECONDS_MAX = 40.0
BACKOFF = BackoffOptions(base_seconds=0.1, cap_seconds=2.0)


def events_url(base_url: str, tracking_url: str) -> str:
    """The stream behind a tracking page: its token is the last path segment."""
    return f"{base_url}/v1/track/{tracking_url.rsplit('/', 1)[1]}/events"


class Customers:
    """One task per order, all on one HTTP client."""

    def __init__(self, base_url: str, book: Book, random: Random) -> None:
        self._base_url, self._book, self._random = base_url, book, random
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(10.0, read=SILENCE_SECONDS_MAX),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            trust_env=False,
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self.reconnects = 0

    def follow(self, order: OrderStory) -> None:
        """Opens the order's tracking stream in the background."""
        order.page = TrackHistory(order.external_delivery_id)
        task = asyncio.create_task(self._follow(order, order.page), name=f"customer {order.external_delivery_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.aclose()

    async def _follow(self, order: OrderStory, page: TrackHistory) -> None:
        url, failures = events_url(self._base_url, order.tracking_url), 0
        while not page.ended:
            try:
                before = page.facts
                await self._read(url, order, page)
                failures = 0 if page.facts > before else failures + 1
            except httpx.TransportError:
                failures += 1
            except (EventStreamError, msgspec.MsgspecError) as error:
                self._book.troubles.add(f"tracking of {page.name}: {error}")
                failures += 1
            except httpx.HTTPStatusError as error:
                # 503 is what a server says whose database is away: come again.
                if error.response.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
                    self._book.troubles.add(f"tracking of {page.name}: HTTP {error.response.status_code}")
                if error.response.status_code == HTTPStatus.NOT_FOUND:
                    return
                failures += 1
            finally:
                order.page_connected = False
            if not page.ended:
                self.reconnects += 1
                await asyncio.sleep(full_jitter(failures, BACKOFF, self._random.random))

    async def _read(self, url: str, order: OrderStory, page: TrackHistory) -> None:
        headers = {"Accept": "text/event-stream"}
        if page.last_event_id is not None:
            headers["Last-Event-ID"] = page.last_event_id
        parser = EventStreamParser()
        async with self._http.stream("GET", url, headers=headers) as response:
            response.raise_for_status()
            async for line in response.aiter_lines():
                event = parser.line(line)
                if event is not None:
                    page.received(event)
                    order.page_connected = True
                    if page.ended:
                        return
