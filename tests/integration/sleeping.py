"""Sleeping phones of a small market, and a push service that does as it is told."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from flexlive.domain.wake_ups import WakeRules
from flexlive.protocol import push_targets as wire
from flexlive.services import push_targets
from flexlive.services.drivers import DriverPrincipal
from flexlive.services.ringing import RingOptions
from flexlive.services.wake_push import Accepted, LogPush, Outcome, PushKind, PushProvider, Ring, Target
from flexlive.workers.leased import LeaseOptions
from flexlive.workers.waker import Waker, WakerOptions
from tests.support.world import World

SECONDS_MAX = 20.0
EAGER = WakerOptions(
    interval_seconds=0.05,
    rules=WakeRules(away_seconds=0.0, unseen_seconds=0.3),
    rings=RingOptions(backoff_seconds_max=0.01),
    lease=LeaseOptions(retry_seconds=0.05),
)


@dataclass
class FakeService:
    """outcomes: of the next pushes, in order; afterwards everything is accepted. before: runs ahead of each answer."""

    kind: PushKind = "fcm"
    pushed: list[tuple[str, Ring]] = field(default_factory=list)
    outcomes: deque[Outcome] = field(default_factory=deque)
    before: Callable[[], Any] | None = None

    async def push(self, target: Target, ring: Ring) -> Outcome:
        self.pushed.append((target.address, ring))
        if self.before is not None:
            await self.before()
        return self.outcomes.popleft() if self.outcomes else Accepted()

    async def close(self) -> None:
        pass

    @property
    def addresses(self) -> list[str]:
        return [address for address, _ in self.pushed]


def providers(service: FakeService) -> dict[PushKind, PushProvider]:
    return {"log": LogPush(), service.kind: service}


async def register(
    world: World, service: FakeService, driver: DriverPrincipal, address: str = "", device: str = "phone"
) -> str:
    """The address where the driver is rung from now on."""
    address = address or f"token-of-{driver.driver_id}"
    ask = wire.PutPushTarget(device_id=device, kind="fcm", address=address)
    await push_targets.put(world.ctx, providers(service), driver, ask)
    return address


def waker(world: World, service: FakeService, options: WakerOptions = EAGER, holder: str = "one") -> Waker:
    return Waker(world.ctx, holder, options, providers(service), draw=lambda: 0.5)


async def rings(world: World) -> list[dict[str, Any]]:
    rows = await world.ctx.pool.fetch("select * from wake_ring order by rung_at, driver_id")
    return [dict(row.items()) for row in rows]


async def settled(world: World, count: int) -> list[dict[str, Any]]:
    """The rings, once there are that many and each has its outcome."""
    async with asyncio.timeout(SECONDS_MAX):
        while len(found := [row for row in await rings(world) if row["outcome"] is not None]) < count:
            await asyncio.sleep(0.02)
    return found


async def looked(world: World, times: int = 3) -> None:
    """Long enough for an eager waker to have looked that often."""
    await asyncio.sleep(EAGER.interval_seconds * times * 2)


def connect(world: World, driver_id: UUID) -> None:
    """The driver's phone is connected to this process."""
    assert world.ctx.roster.claim(world.market_id, driver_id, 1.0)
