"""The phone beside: it works while others misbehave, and its answers come in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from flexlive.protocol import driver as wire
from tests.security.conftest import Live
from tests.support.phones import Phone, point
from tests.support.world import SITE

ANSWER_SECONDS_MAX = 5.0
PAUSE_SECONDS = 0.05


@asynccontextmanager
async def good_phone(live: Live) -> AsyncIterator[Phone]:
    """A phone that works all the while: it stays connected and each of its commands is answered."""
    phone = Phone("good")
    async with phone.connected(live.url, live.cast.here.driver_tokens[1], SITE):
        answers: list[str] = []
        working = asyncio.create_task(_work(phone, answers))
        try:
            yield phone
        finally:
            before = len(answers)
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                while len(answers) == before and not working.done():
                    await asyncio.sleep(0.01)
            working.cancel()
            [outcome] = await asyncio.gather(working, return_exceptions=True)
        assert isinstance(outcome, asyncio.CancelledError), outcome
        assert set(answers) == {"ok"}
        assert phone.violations == []


async def _work(phone: Phone, answers: list[str]) -> None:
    while True:
        await phone.send(wire.Location(points=(point(SITE),)))
        result = await phone.command(wire.PresenceSet(cmd=f"p-{uuid4().hex}", mode="online"))
        answers.append(result.code)
        await phone.acknowledge()
        await asyncio.sleep(PAUSE_SECONDS)
