"""A driver who never rests: takes and refuses offers, gives routes back, goes off and on line, one command after
the other, so that what should have happened can be counted."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from random import Random
from uuid import UUID

from flexlive.client.driver_client import DriverClient
from flexlive.protocol.driver import OfferAccept, OfferView, Point, PresenceSet, RouteForfeit, Sync
from load_tests.command_history import CommandHistory

LOCATION_SECONDS = 15.0
ACCEPT_SHARE = 0.8
THINKING_SECONDS_MAX = 0.2
LOOK_SECONDS = 0.5
FORFEIT_REASON = "driver_forfeited"


class BusyDriver:
    """place: latitude and longitude where the driver stands."""

    def __init__(
        self, client: DriverClient, history: CommandHistory, place: tuple[float, float], random: Random
    ) -> None:
        self.client, self.history = client, history
        self._place, self._random = place, random
        self._tried: set[UUID] = set()
        self._given_back: set[UUID] = set()
        self._online = False

    async def run(self, commands: int) -> None:
        """So many commands and their answers; ends on line."""
        where = asyncio.create_task(self._locate())
        try:
            await self._toggle()
            while len(self.history.sent) < commands:
                await self._next()
                # Every other time the next command follows at once, on the heels of the last one's repetitions.
                await asyncio.sleep(self._random.choice((0, self._random.uniform(0, THINKING_SECONDS_MAX))))
            if not self._online:
                await self._toggle()
        finally:
            where.cancel()
            await asyncio.gather(where, return_exceptions=True)

    async def converged(self) -> None:
        """Returns once a fresh snapshot says what the phone had put together by itself."""
        while True:
            before, seen = self._known(), self.history.snapshots
            await self.client.signal(Sync())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    while self.history.snapshots == seen:
                        await asyncio.sleep(0.02)
            await asyncio.sleep(0.02)
            if self.history.snapshots > seen and self._known() == before:
                return
            await asyncio.sleep(LOOK_SECONDS)

    def _known(self) -> tuple[object, ...]:
        state = self.client.state
        offers = {(offer.offer_id, offer.offer_version) for offer in state.offers.values()}
        routes = {(route.route_id, route.version) for route in state.routes.values()}
        return offers, routes, state.presence

    async def _next(self) -> None:
        route = next((r for r in self.client.state.routes if r not in self._given_back), None)
        offers = [offer for offer in self.client.state.offers.values() if offer.offer_id not in self._tried]
        if not self._online:
            await self._toggle()
        elif route is not None:
            self._given_back.add(route)
            await self.client.command(RouteForfeit(cmd=self.client.next_cmd(), route_id=route, reason=FORFEIT_REASON))
        elif offers:
            await self._answer(self._random.choice(offers))
        else:
            await self._toggle()

    async def _answer(self, offer: OfferView) -> None:
        self._tried.add(offer.offer_id)
        if self._random.random() < ACCEPT_SHARE:
            accept = OfferAccept(cmd=self.client.next_cmd(), offer_id=offer.offer_id, offer_version=offer.offer_version)
            await self.client.command(accept)
        else:
            await self.client.decline(offer.offer_id)

    async def _toggle(self) -> None:
        cmd = self.client.next_cmd()
        # What is stored of it names the command: an effect that came twice would show, even where it undoes another.
        mode = "offline" if self._online else "online"
        await self.client.command(PresenceSet(cmd=cmd, mode=mode, filters={"cmd": cmd}))
        self._online = not self._online

    async def _locate(self) -> None:
        while True:
            lat, lon = self._place
            await self.client.send_location([Point(lat=lat, lon=lon, at=datetime.now(UTC), accuracy_m=5)])
            await asyncio.sleep(LOCATION_SECONDS)
