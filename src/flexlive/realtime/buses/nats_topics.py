"""Which topics this process wants to hear, and the NATS subscriptions that follow from it: one per topic, however many
subscribers it has here."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription


class TopicFollower:
    """root: first part of every subject. deliver(topic, payload) is called with what arrives; beyond
    messages_max or bytes_max waiting on one topic it is dropped."""

    def __init__(self, root: str, deliver: Callable[[str, bytes], None], *, messages_max: int, bytes_max: int) -> None:
        self._root = root
        self._deliver = deliver
        self._messages_max = messages_max
        self._bytes_max = bytes_max
        self._wanted: Counter[str] = Counter()
        self._held: dict[str, Subscription] = {}
        self._changed = asyncio.Event()

    def subject(self, topic: str) -> str:
        """The NATS subject of a topic."""
        return f"{self._root}.{topic}"

    def want(self, topic: str) -> None:
        """One more subscriber; its messages come as soon as the server knows."""
        self._wanted[topic] += 1
        self._changed.set()

    def unwant(self, topic: str) -> None:
        """One subscriber less."""
        self._wanted[topic] -= 1
        if self._wanted[topic] <= 0:
            del self._wanted[topic]
        self._changed.set()

    def forget(self) -> None:
        """The connection is gone, and with it its subscriptions; what is wanted stays wanted."""
        self._held.clear()

    async def follow_all(self, client: Client) -> None:
        """Subscribe to what is wanted and not subscribed, and the other way round."""
        self._changed.clear()
        for topic in [topic for topic in self._wanted if topic not in self._held]:
            self._held[topic] = await client.subscribe(  # pyright: ignore[reportUnknownMemberType]
                self.subject(topic),
                cb=partial(self._on_message, topic),
                pending_msgs_limit=self._messages_max,
                pending_bytes_limit=self._bytes_max,
            )
        for topic in [topic for topic in self._held if topic not in self._wanted]:
            await self._held.pop(topic).unsubscribe()

    async def follow(self, client: Client) -> None:
        """follow_all at every change, until cancelled or the connection fails."""
        while True:
            await self._changed.wait()
            await self.follow_all(client)

    async def _on_message(self, topic: str, message: Msg) -> None:
        self._deliver(topic, message.data)
