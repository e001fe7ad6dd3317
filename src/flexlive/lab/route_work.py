"""Driving one route to its end: what a courier does at each stop, guided only by what the phone knows."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from flexlive.lab.geo import Place
from flexlive.protocol.driver import Result, RouteView, StopDeliveryView, StopView

if TYPE_CHECKING:
    from flexlive.lab.driver_bot import DriverBot

STEP_ATTEMPTS_MAX = 5
STEP_RETRY_SECONDS = 0.5
# How long the phone waits to see on its own screen what it was told is done.
SETTLE_SECONDS_MAX = 10.0
PIN_WAIT_SECONDS_MAX = 20.0
ROUTE_STEPS_MAX = 400
OPEN = frozenset({"pending", "arrived"})


class RouteWork:
    """Works through the open stops in order, however far the route already is."""

    def __init__(self, bot: DriverBot, route_id: UUID) -> None:
        self._bot, self._route_id = bot, route_id
        self._manifest, self._clock, self._client = bot.manifest, bot.clock, bot.client

    async def run(self) -> None:
        """Returns when the route has ended on the phone, or cannot be carried on (which is reported)."""
        for _ in range(ROUTE_STEPS_MAX):
            stop = self._next_stop()
            if stop is None:
                if await self._settled(lambda: self._route() is None):
                    return
                self._trouble("all stops are done, but the route stays open")
                return
            if not await self._visit(stop):
                self._trouble(f"gave up at {stop.kind} stop {stop.sequence} ({stop.status})")
                await asyncio.sleep(SETTLE_SECONDS_MAX)
        self._trouble(f"still not done after {ROUTE_STEPS_MAX} steps")

    async def _visit(self, stop: StopView) -> bool:
        match stop.kind:
            case "site":
                return await self._arrive(stop, self._manifest.travel.pickup_before_seconds)
            case "store":
                return await self._pick_up(stop)
            case _:
                if stop.status == "pending" and not await self._arrive(
                    stop, self._manifest.travel.dropoff_before_seconds
                ):
                    return False
                return await self._hand_over(stop)

    async def _arrive(self, stop: StopView, standing_seconds: float) -> bool:
        """Sets off, drives, checks in by geofence, parks and walks."""
        await self._step(f"depart to {stop.kind}", lambda: self._client.depart(stop.stop_id))
        await asyncio.sleep(self._bot.set_off(Place(stop.lat, stop.lon)))
        await self._client.send_location((self._bot.fix(),))
        done = await self._step(
            f"check_in at {stop.kind}",
            lambda: self._client.check_in(stop.stop_id, self._bot.fix()),
            lambda: self._status(stop.stop_id) != "pending",
        )
        await self._clock.sleep(standing_seconds)
        return done

    async def _pick_up(self, stop: StopView) -> bool:
        """Waits until the parcels are ready, scans each, and takes them for the counter's code."""
        if stop.window.ready_at is not None:
            await asyncio.sleep(max(0.0, stop.window.ready_at.timestamp() - self._clock.unix()))
        for package in [p for d in stop.deliveries for p in d.packages if p.custody == "store"]:
            await self._step("scan", lambda p=package: self._client.scan(stop.stop_id, p.barcode, datetime.now(UTC)))
        code = self._manifest.handoff_codes.get(stop.store_id, "") if stop.store_id is not None else ""
        done = await self._step(
            "pickup.confirm",
            lambda: self._client.confirm_pickup(stop.stop_id, code),
            lambda: self._status(stop.stop_id) not in OPEN,
        )
        if done:
            names = tuple(d.external_delivery_id for d in stop.deliveries)
            self._bot.report.picked_up(names, self._clock.unix())
        await self._clock.sleep(self._manifest.travel.pickup_after_seconds)
        return done

    async def _hand_over(self, stop: StopView) -> bool:
        """Shows the proofs the door needs, hands the parcel over, walks back to the car."""
        for delivery in stop.deliveries:
            if delivery.verification.photo:
                await self._step("proof.add", lambda d=delivery: self._photo(d))
            pincode = await self._pin(delivery) if delivery.verification.pincode else None
            done = await self._step(
                "deliver",
                lambda d=delivery, p=pincode: self._client.deliver(d.delivery_id, datetime.now(UTC), pincode=p),
                lambda: self._status(stop.stop_id) not in OPEN,
            )
            if not done:
                return False
            self._bot.report.deliver(delivery.external_delivery_id, self._clock.unix())
        await self._clock.sleep(self._manifest.travel.dropoff_after_seconds)
        return True

    async def _photo(self, delivery: StopDeliveryView) -> Result:
        picture = hashlib.sha256(f"photo of {delivery.external_delivery_id}".encode()).hexdigest()
        return await self._client.add_proof(delivery.delivery_id, "photo", picture, datetime.now(UTC))

    async def _pin(self, delivery: StopDeliveryView) -> str | None:
        """Asks the customer at the door, who has it from the tracking page."""
        for _ in range(int(PIN_WAIT_SECONDS_MAX / STEP_RETRY_SECONDS)):
            pin = self._bot.pins.get(delivery.external_delivery_id)
            if pin is not None:
                return pin
            await asyncio.sleep(STEP_RETRY_SECONDS)
        return None

    async def _step(
        self, name: str, send: Callable[[], Awaitable[Result]], seen: Callable[[], bool] | None = None
    ) -> bool:
        """Sends a command until it is ok and, if seen is given, until the phone shows its effect."""
        code = ""
        for _ in range(STEP_ATTEMPTS_MAX):
            if seen is not None and seen():
                return True
            try:
                answer = await send()
            except TimeoutError:
                code = "no answer"
                continue
            if answer.ok and (seen is None or await self._settled(seen)):
                return True
            code = answer.code
            # A crossing may have done the same a moment earlier; then the phone is about to hear of it.
            if code == "illegal_transition" and (seen is None or await self._settled(seen)):
                return True
            await asyncio.sleep(STEP_RETRY_SECONDS)
        self._trouble(f"{name}: {code}")
        return False

    async def _settled(self, seen: Callable[[], bool]) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS_MAX):
                while not seen():
                    await self._bot.news()
                return True
        return False

    def _route(self) -> RouteView | None:
        return self._client.state.routes.get(self._route_id)

    def _next_stop(self) -> StopView | None:
        """The first stop with something left to do; a site stop is done with by arriving."""
        route = self._route()
        for stop in () if route is None else sorted(route.stops, key=lambda s: s.sequence):
            if stop.status == "pending" or (stop.status == "arrived" and stop.kind != "site"):
                return stop
        return None

    def _status(self, stop_id: UUID) -> str:
        """The stop's status on the phone; "done" when the route has left it."""
        route = self._route()
        return next((s.status for s in route.stops if s.stop_id == stop_id), "done") if route is not None else "done"

    def _trouble(self, text: str) -> None:
        self._bot.report.trouble(f"{self._bot.history.name}, route {self._route_id}: {text}")
