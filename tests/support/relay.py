"""Relays in tests: waiting, leading, and what was heard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from flexlive.realtime.buses.memory import MemoryBus
from flexlive.realtime.chain import ChainMessage, FactRow
from flexlive.storage.pool import Pool
from flexlive.workers.relay import Relay, RelayOptions

# Nothing may come to pass by polling alone.
BY_WAKE = RelayOptions(poll_seconds=20, sign_of_life_seconds=20)


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)


async def leading(pool: Pool, bus: MemoryBus, market_id: str, holder: str, options: RelayOptions) -> Relay:
    made = Relay(pool, bus, holder, options)
    made.start([market_id])
    await until(lambda: made.leads(market_id))
    return made


def facts_of(messages: list[ChainMessage]) -> list[FactRow]:
    return [fact for message in messages for fact in message.facts]
