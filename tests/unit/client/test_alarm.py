"""The alarm may ring early, never late, and leaves a timer alone that is soon enough."""

from __future__ import annotations

import asyncio
import math
import time

from flexlive.client.alarm import Alarm


class Bell:
    def __init__(self) -> None:
        self.rung: list[float] = []
        self.alarm = Alarm(lambda: self.rung.append(time.monotonic()), time.monotonic)


async def test_it_rings_once_at_the_deadline() -> None:
    bell, now = Bell(), time.monotonic()
    bell.alarm.set(now + 0.05)
    await asyncio.sleep(0.12)
    [rung] = bell.rung
    assert 0.045 <= rung - now < 0.1


async def test_a_nearer_deadline_replaces_the_timer() -> None:
    bell, now = Bell(), time.monotonic()
    bell.alarm.set(now + 10)
    bell.alarm.set(now + 0.02)
    await asyncio.sleep(0.06)
    assert len(bell.rung) == 1


async def test_a_later_deadline_rings_early_and_again_when_set() -> None:
    bell, now = Bell(), time.monotonic()
    bell.alarm.set(now + 0.02)
    bell.alarm.set(now + 0.06)
    await asyncio.sleep(0.04)
    assert len(bell.rung) == 1
    bell.alarm.set(now + 0.06)
    await asyncio.sleep(0.05)
    assert len(bell.rung) == 2


async def test_infinity_switches_it_off() -> None:
    bell = Bell()
    bell.alarm.set(time.monotonic() + 0.02)
    bell.alarm.set(math.inf)
    await asyncio.sleep(0.04)
    assert bell.rung == []


async def test_a_deadline_in_the_past_rings_at_once() -> None:
    bell = Bell()
    bell.alarm.set(time.monotonic() - 5)
    await asyncio.sleep(0.01)
    assert len(bell.rung) == 1
