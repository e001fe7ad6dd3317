"""One simulated driver: comes on, looks at offers, drives what it wins, goes home."""

from __future__ import annotations

import asyncio
import contextlib
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from uuid import UUID

from flexlive.client.driver_client import DriverClient
from flexlive.client.options import ClientOptions
from flexlive.domain.geography import distance_m
from flexlive.lab.bot_clock import BotClock
from flexlive.lab.driver_history import DriverHistory
from flexlive.lab.fleet_messages import FleetDriver, FleetSite, Manifest, PhoneState
from flexlive.lab.fleet_report import FleetReport
from flexlive.lab.geo import Place, near
from flexlive.lab.invitations import Invitations
from flexlive.lab.motion import Motion
from flexlive.lab.offer_work import OfferWork
from flexlive.lab.phone import Phone
from flexlive.lab.route_work import RouteWork
from flexlive.lab.scenario import Mishap
from flexlive.protocol.driver import Notice, OfferOpen, Point, Snapshot

ROAM_METRES_MIN = 300.0
ROAM_METRES_MAX = 2500.0
SIGN_OUT_SECONDS_MAX = 5.0


@dataclass(slots=True)
class DriverBot:
    """Everything one driver needs to play its part; `run` returns when its shift is over or the play ends.

    pins: what customers will say at the door, by external_delivery_id (shared by the fleet, filled from outside).
    mishaps: what is still to go wrong, by external_delivery_id (shared by the fleet; each happens once).
    """

    driver: FleetDriver
    manifest: Manifest
    sites: tuple[FleetSite, ...]
    pins: dict[str, str]
    mishaps: dict[str, Mishap]
    report: FleetReport
    clock: BotClock
    random: Random
    motion: Motion = field(init=False)
    history: DriverHistory = field(init=False)
    client: DriverClient = field(init=False)
    off: asyncio.Event = field(default_factory=asyncio.Event)
    _left: asyncio.Event = field(default_factory=asyncio.Event)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _offers: OfferWork = field(init=False)
    _invitations: Invitations = field(init=False)
    _standing_since: float = 0.0
    _online: bool = False

    def __post_init__(self) -> None:
        self.motion = Motion.standing(self.driver.start, self.clock.now())
        self.history = DriverHistory(f"driver {self.driver.first_name} {self.driver.driver_id}")
        self.report.histories.append(self.history)
        self._offers = OfferWork(self)
        self._invitations = Invitations(self)
        phone = Phone(self.history, self.report, opened=self._opened, offered=self._offered)
        self.client = DriverClient(
            self.manifest.url,
            self.driver.access_token,
            self.device_id,
            options=ClientOptions(command_timeout_seconds=self.manifest.answer_seconds_max),
            observer=phone,
            draw=self.random.random,
        )

    async def run(self) -> None:
        """One shift, from coming on to signing off; whatever goes wrong is reported, never raised."""
        await self.clock.until_play(self.driver.on_seconds, self.off)
        if self.off.is_set():
            return
        try:
            async with self.client:
                await self._shift()
        except* Exception as group:
            for error in group.exceptions:
                self.report.trouble(f"{self.history.name}: {type(error).__name__}: {error}")
        finally:
            self._set_online(False)
            self.history.finish()

    @property
    def device_id(self) -> str:
        return f"lab-{self.driver.driver_id}"

    def looked_at(self) -> PhoneState:
        """What the phone holds now, for a comparison with the database."""
        state = self.client.state
        return PhoneState(
            market_id=self.driver.market_id,
            driver_id=self.driver.driver_id,
            device_id=self.device_id,
            on_duty=self._online,
            connected=self.client.connected,
            unanswered_since=self.history.unanswered_since,
            place=self.place(),
            routes={route_id: route.version for route_id, route in state.routes.items()},
            offers=tuple(state.offers),
            answers=self.history.take_answers(),
        )

    def sign_off(self) -> None:
        """Ends the shift as soon as the driver has nothing on board."""
        self.off.set()
        self._news.set()

    def leave(self) -> None:
        """Ends the shift now, whatever is on board: the play is over."""
        self.off.set()
        self._left.set()

    async def _shift(self) -> None:
        async with asyncio.TaskGroup() as group:
            helpers = [group.create_task(self._ping()), group.create_task(self._listen())]
            if self.driver.off_seconds is not None:
                helpers.append(group.create_task(self._watch_the_clock(self.driver.off_seconds)))
            leaving, work = group.create_task(self._left.wait()), group.create_task(self._work())
            await asyncio.wait({work, leaving}, return_when=asyncio.FIRST_COMPLETED)
            work.cancel()
            await self._sign_out()
            for helper in (leaving, *helpers):
                helper.cancel()

    async def _sign_on(self) -> None:
        await self._locate()
        answer = await self.client.go_online()
        if not answer.ok:
            self.report.trouble(f"{self.history.name}: going online was answered {answer.code}")
        self._standing_since = self.clock.now()
        self._set_online(True)

    async def _sign_out(self) -> None:
        """Offline if nothing is on board; then waits for answers still on their way."""
        # A shift may end in the middle of an outage; when the play ends, faults have.
        seconds = SIGN_OUT_SECONDS_MAX if self._left.is_set() else self.manifest.settle_seconds_max
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                if not self.client.state.routes:
                    await self.client.go_offline()
                await self.client.all_answered()

    async def _work(self) -> None:
        """Comes online, then drives route after route until the shift is over."""
        await self._sign_on()
        while True:
            route = next(iter(self.client.state.routes.values()), None)
            if route is not None:
                await self._drive(route.route_id)
            elif self.off.is_set():
                return
            elif (offer := self._offers.choose()) is not None:
                await self._offers.consider(offer)
            else:
                self._news.clear()
                await self._news.wait()

    async def _drive(self, route_id: UUID) -> None:
        self.report.busy += 1
        try:
            await RouteWork(self, route_id).run()
        finally:
            self.report.busy -= 1
        if self.manifest.habits.returns_to_site and self.sites:
            site = min(self.sites, key=lambda s: distance_m(s.place, self.place()))
            self.set_off(near(site.place, self.random.uniform(ROAM_METRES_MIN, ROAM_METRES_MAX), self.random))

    async def news(self) -> None:
        """Waits for the next message of any kind."""
        self._news.clear()
        await self._news.wait()

    def place(self) -> Place:
        return self.motion.place(self.clock.now())

    def set_off(self, to: Place) -> float:
        """Starts driving there; returns wall seconds until arrival."""
        now = self.clock.now()
        start = self.motion.place(now)
        seconds = self.manifest.travel.seconds(distance_m(start, to)) / self.manifest.scale
        self.motion = Motion(start, to, now, seconds)
        return seconds

    def stand(self) -> None:
        """Stops where the car is now."""
        now = self.clock.now()
        self.motion = Motion.standing(self.motion.place(now), now)

    def fix(self) -> Point:
        """Where the phone believes it is."""
        place = self.place()
        return Point(
            lat=place.lat, lon=place.lon, at=datetime.now(UTC), accuracy_m=round(self.random.uniform(4, 12), 1)
        )

    async def _locate(self) -> None:
        moving = self.motion.moving(self.clock.now())
        await self.client.send_location((self.fix(),))
        if moving:
            self._standing_since = math.inf
        elif self._standing_since == math.inf:
            self._standing_since = self.clock.now()

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(self.manifest.location_seconds * self.random.uniform(0.8, 1.2))
            await self._locate()

    async def _listen(self) -> None:
        async for message in self.client:
            self._news.set()
            if isinstance(message, Notice | Snapshot):
                await self._invitations.consider(message)

    def _offered(self, offer: OfferOpen) -> None:
        now, unix = self.clock.now(), self.clock.unix()
        self.report.shown(offer.offer_id, unix)
        age = unix - offer.opened_at.timestamp()
        # Driving into a cell, or a wider ring, shows an offer that is older than its push.
        if offer.offer_version == 1 and self._standing_since < now - age:
            self.report.pushed(age * 1000)

    def _opened(self) -> None:
        self._standing_since = math.inf if self._standing_since == math.inf else self.clock.now()
        self._news.set()

    def _set_online(self, online: bool) -> None:
        self.report.online += int(online) - int(self._online)
        self._online = online

    async def _watch_the_clock(self, off_seconds: float) -> None:
        await self.clock.until_play(off_seconds, self.off)
        self.sign_off()
