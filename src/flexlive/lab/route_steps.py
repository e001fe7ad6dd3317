"""One command after the other, until the phone shows its effect: what every visit to a stop is made of."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from uuid import UUID

from flexlive.protocol.driver import Result, RouteView, StopView

if TYPE_CHECKING:
    from flexlive.lab.driver_bot import DriverBot

STEP_ATTEMPTS_MAX = 5
STEP_RETRY_SECONDS = 0.5
OPEN = frozenset({"pending", "arrived"})
# What a command is answered about work that is somebody else's by now, or nobody's.
NOT_MINE = frozenset({"illegal_transition", "not_found"})
UNDELIVERABLE = "undeliverable"


class StopOverError(Exception):
    """Somebody else has ended this stop: nothing is left to do at it."""


class RouteSteps:
    """The phone's view of one route, and commands about it."""

    def __init__(self, bot: DriverBot, route_id: UUID) -> None:
        self.bot, self.route_id, self.client = bot, route_id, bot.client

    async def step(
        self,
        stop: StopView,
        name: str,
        send: Callable[[], Awaitable[Result]],
        seen: Callable[[], bool] | None = None,
    ) -> bool:
        """Sends a command until it is ok and, if seen is given, until the phone shows its effect.

        Raises StopOverError when it is refused because the stop is over.
        """
        code = ""
        for _ in range(STEP_ATTEMPTS_MAX):
            if seen is not None and seen():
                return True
            if self.status_over(stop.stop_id):
                raise StopOverError
            try:
                answer = await send()
            except TimeoutError:
                code = "no answer"
                continue
            if answer.ok and (seen is None or await self.settled(seen)):
                return True
            code = answer.code
            if code in NOT_MINE:
                # A crossing may have done the same a moment earlier; then the phone is about to hear of it.
                if code == "illegal_transition" and seen is None:
                    return True
                if await self.settled(lambda: self.status_over(stop.stop_id) or (seen is not None and seen())):
                    if seen is not None and seen():
                        return True
                    raise StopOverError
            await asyncio.sleep(STEP_RETRY_SECONDS)
        self.trouble(f"{name}: {code}")
        return False

    async def free_step(self, name: str, send: Callable[[], Awaitable[Result]]) -> bool:
        """Sends a command that is about no open stop, until it is ok."""
        code = ""
        for _ in range(STEP_ATTEMPTS_MAX):
            try:
                answer = await send()
            except TimeoutError:
                code = "no answer"
                continue
            if answer.ok:
                return True
            code = answer.code
            if code in NOT_MINE:
                return False
            await asyncio.sleep(STEP_RETRY_SECONDS)
        self.trouble(f"{name}: {code}")
        return False

    async def over(self, stop: StopView) -> None:
        """Waits until the phone shows that this stop is over. Always raises StopOverError."""
        if not await self.settled(lambda: self.status_over(stop.stop_id)):
            self.trouble(f"{stop.kind} stop {stop.sequence} should be over")
        raise StopOverError

    async def settled(self, seen: Callable[[], bool], seconds: float | None = None) -> bool:
        """Whether the phone shows it within so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.bot.manifest.settle_seconds_max if seconds is None else seconds):
                while not seen():
                    await self.bot.news()
                return True
        return False

    def route(self) -> RouteView | None:
        return self.client.state.routes.get(self.route_id)

    def next_stop(self) -> StopView | None:
        """The first stop with something left to do; a site stop is done with by arriving."""
        route = self.route()
        for stop in () if route is None else sorted(route.stops, key=lambda s: s.sequence):
            if stop.status == "pending" or (stop.status == "arrived" and stop.kind != "site"):
                return stop
        return None

    def undecided(self) -> bool:
        """Whether something on board waits for a decision."""
        route = self.route()
        return route is not None and any(d.status == UNDELIVERABLE for stop in route.stops for d in stop.deliveries)

    def status(self, stop_id: UUID) -> str:
        """The stop's status on the phone; "done" when the route has left it."""
        route = self.route()
        return next((s.status for s in route.stops if s.stop_id == stop_id), "done") if route is not None else "done"

    def status_over(self, stop_id: UUID) -> bool:
        return self.status(stop_id) not in OPEN

    def trouble(self, text: str) -> None:
        """Something that should not have happened."""
        self.bot.report.trouble(f"{self.bot.history.name}, route {self.route_id}: {text}")
