"""A customer's stream over a real socket, read event by event."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

EVENT_SECONDS_MAX = 5.0


@dataclass(frozen=True)
class Event:
    """name is "" for a comment; data is decoded JSON."""

    name: str
    data: Any
    id: str | None


class Stream:
    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def next(self, seconds: float = EVENT_SECONDS_MAX) -> Event | None:
        """The next event or comment; None when the server has ended the stream."""
        async with asyncio.timeout(seconds):
            fields: dict[str, str] = {}
            async for line in self._lines:
                if line.startswith(":"):
                    fields["comment"] = line
                elif line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif set(fields) - {"retry"}:
                    data = json.loads(fields["data"]) if "data" in fields else None
                    return Event(fields.get("event", ""), data, fields.get("id"))
                else:
                    fields = {}
        return None

    async def expect(self, *names: str) -> list[Event]:
        """Exactly these events next, heartbeats aside."""
        seen: list[Event] = []
        for name in names:
            async with asyncio.timeout(EVENT_SECONDS_MAX):
                event = await self.next()
                while event is not None and event.name == "":
                    event = await self.next()
            assert event is not None, f"the stream ended before {name}"
            assert event.name == name, f"{event} instead of {name}"
            seen.append(event)
        return seen

    async def ended(self) -> bool:
        return await self.next() is None


@asynccontextmanager
async def open_stream(url: str, token: str, last_event_id: str | None = None) -> AsyncIterator[Stream]:
    headers = {"accept": "text/event-stream", **({"last-event-id": last_event_id} if last_event_id else {})}
    async with (
        httpx.AsyncClient(base_url=url, timeout=10, trust_env=False) as http,
        http.stream("GET", f"/v1/track/{token}/events", headers=headers) as response,
    ):
        yield Stream(response)
