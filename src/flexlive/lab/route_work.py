"""Driving one route to its end: what a courier does at each stop, guided only by what the phone knows."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from flexlive.lab.geo import Place
from flexlive.lab.route_steps import RouteSteps, StopOverError
from flexlive.lab.scenario import Mishap
from flexlive.protocol.driver import Missing, Result, StopDeliveryView, StopView

if TYPE_CHECKING:
    from flexlive.lab.driver_bot import DriverBot

GIVE_UP_PAUSE_SECONDS = 10.0
PIN_WAIT_SECONDS_MAX = 20.0
PIN_POLL_SECONDS = 0.5
# Operators, or the rule that follows them, decide about what could not be delivered.
DECISION_SECONDS_MAX = 120.0
ROUTE_STEPS_MAX = 400
LEFT_AT = "front door"
AT_THE_DOOR = {
    Mishap.CUSTOMER_UNAVAILABLE: "customer_unavailable",
    Mishap.CUSTOMER_REFUSED: "customer_refused",
    Mishap.LEFT_AT_DOOR: "customer_unavailable",
}
# A closed door is found closed at every attempt; the rest goes wrong once.
EVERY_TIME = frozenset({Mishap.CUSTOMER_UNAVAILABLE})


class RouteWork(RouteSteps):
    """Works through the open stops in order, however far the route already is."""

    def __init__(self, bot: DriverBot, route_id: UUID) -> None:
        super().__init__(bot, route_id)
        self._manifest, self._clock = bot.manifest, bot.clock

    async def run(self) -> None:
        """Returns when the route has ended on the phone, or cannot be carried on (which is reported)."""
        for _ in range(ROUTE_STEPS_MAX):
            stop = self.next_stop()
            if stop is None:
                seconds = DECISION_SECONDS_MAX if self.undecided() else self._manifest.settle_seconds_max
                if not await self.settled(lambda: self.route() is None or self.next_stop() is not None, seconds):
                    self.trouble("no stop is left, but the route stays open")
                    return
                if self.route() is None:
                    return
                continue
            try:
                done = await self._visit(stop)
            except StopOverError:
                # Cancelled, given to somebody else, taken back: the phone shows what is left to do.
                continue
            if not done:
                self.trouble(f"gave up at {stop.kind} stop {stop.sequence} ({stop.status})")
                await asyncio.sleep(GIVE_UP_PAUSE_SECONDS)
        self.trouble(f"still not done after {ROUTE_STEPS_MAX} steps")

    async def _visit(self, stop: StopView) -> bool:
        travel = self._manifest.travel
        match stop.kind:
            case "site":
                return await self._arrive(stop, travel.pickup_before_seconds)
            case "store":
                return await self._pick_up(stop)
            case "return":
                return await self._arrived(stop, travel.pickup_before_seconds) and await self._bring_back(stop)
            case "handover":
                return await self._arrived(stop, 0.0) and await self._take_over(stop)
            case _:
                return await self._arrived(stop, travel.dropoff_before_seconds) and await self._hand_over(stop)

    async def _arrived(self, stop: StopView, standing_seconds: float) -> bool:
        return stop.status != "pending" or await self._arrive(stop, standing_seconds)

    async def _arrive(self, stop: StopView, standing_seconds: float) -> bool:
        """Sets off, drives, checks in by geofence, parks and walks."""
        await self.step(stop, f"depart to {stop.kind}", lambda: self.client.depart(stop.stop_id))
        seconds = self.bot.set_off(Place(stop.lat, stop.lon))
        await self._on_the_way(stop, seconds)
        await asyncio.sleep(self.bot.motion.ends_at - self._clock.now())
        await self.client.send_location((self.bot.fix(),))
        done = await self.step(
            stop,
            f"check_in at {stop.kind}",
            lambda: self.client.check_in(stop.stop_id, self.bot.fix()),
            lambda: self.status(stop.stop_id) != "pending",
        )
        await self._clock.sleep(standing_seconds)
        return done

    async def _on_the_way(self, stop: StopView, seconds: float) -> None:
        """Half the way, if something happens there. Raises StopOverError then."""
        if stop.kind == "site" and self._goes_wrong(stop, Mishap.FORFEIT):
            await asyncio.sleep(seconds / 2)
            await self.step(stop, "route.forfeit", lambda: self.client.forfeit(self.route_id, "other"))
            await self.over(stop)
        if stop.kind == "door" and self._goes_wrong(stop, Mishap.BREAKDOWN):
            await asyncio.sleep(seconds / 2)
            self.bot.stand()
            await self._incident(stop, stop.deliveries[0], "vehicle_problem")

    async def _pick_up(self, stop: StopView) -> bool:
        """Waits until the parcels are ready, scans each, and takes them for the counter's code."""
        if stop.window.ready_at is not None:
            await asyncio.sleep(max(0.0, stop.window.ready_at.timestamp() - self._clock.unix()))
        packages = [p for d in stop.deliveries for p in d.packages if p.custody == "store"]
        missing: tuple[Missing, ...] = ()
        if len(packages) > 1 and self._goes_wrong(stop, Mishap.PARTIAL_PICKUP):
            missing = (Missing(barcode=packages.pop().barcode, reason="item_missing"),)
        for package in packages:
            await self.step(
                stop, "scan", lambda p=package: self.client.scan(stop.stop_id, p.barcode, datetime.now(UTC))
            )
        done = await self.step(
            stop,
            "pickup.confirm",
            lambda: self.client.confirm_pickup(stop.stop_id, self._store_code(stop), missing),
            lambda: self.status_over(stop.stop_id),
        )
        if done:
            names = tuple(d.external_delivery_id for d in stop.deliveries)
            self.bot.report.picked_up(names, self._clock.unix())
        await self._clock.sleep(self._manifest.travel.pickup_after_seconds)
        return done

    async def _hand_over(self, stop: StopView) -> bool:
        """Shows the proofs the door needs, hands the parcel over, walks back to the car."""
        for delivery in stop.deliveries:
            for mishap, reason in AT_THE_DOOR.items():
                if self._goes_wrong(stop, mishap):
                    return await self._closed_door(stop, delivery, reason)
            if delivery.verification.photo:
                await self.step(stop, "proof.add", lambda d=delivery: self._photo(d))
            pincode = await self._pin(delivery) if delivery.verification.pincode else None
            done = await self.step(
                stop,
                "deliver",
                lambda d=delivery, p=pincode: self.client.deliver(d.delivery_id, datetime.now(UTC), pincode=p),
                lambda: self.status_over(stop.stop_id),
            )
            if not done:
                return False
            self.bot.report.deliver(delivery.external_delivery_id, self._clock.unix())
        await self._clock.sleep(self._manifest.travel.dropoff_after_seconds)
        return True

    async def _closed_door(self, stop: StopView, delivery: StopDeliveryView, reason: str) -> bool:
        """Nobody takes it: says so, and leaves it there if that is what the shop wishes."""
        leave = self.bot.manifest.mishaps.get(delivery.external_delivery_id) is Mishap.LEFT_AT_DOOR
        await self._incident(stop, delivery, reason)
        if leave:
            await self.free_step("proof.add", lambda: self._photo(delivery))
            if await self.free_step(
                "deliver left_at",
                lambda: self.client.deliver(delivery.delivery_id, datetime.now(UTC), left_at=LEFT_AT),
            ):
                self.bot.report.deliver(delivery.external_delivery_id, self._clock.unix())
        return True

    async def _incident(self, stop: StopView, delivery: StopDeliveryView, reason: str) -> None:
        await self.step(
            stop,
            "incident.report",
            lambda: self.client.report_incident(delivery.delivery_id, reason),
            lambda: self.status_over(stop.stop_id),
        )
        if reason == "vehicle_problem":
            raise StopOverError

    async def _bring_back(self, stop: StopView) -> bool:
        """Every parcel that comes back is read again, and the counter's code says that it has been taken."""
        for package in [p for d in stop.deliveries for p in d.packages if p.custody == "held"]:
            await self.step(
                stop, "scan", lambda p=package: self.client.scan(stop.stop_id, p.barcode, datetime.now(UTC))
            )
        return await self.step(
            stop,
            "return.confirm",
            lambda: self.client.confirm_return(stop.stop_id, self._store_code(stop)),
            lambda: self.status_over(stop.stop_id),
        )

    async def _take_over(self, stop: StopView) -> bool:
        """Parcels of a driver who cannot go on: whoever has read them all has them."""
        for package in [p for d in stop.deliveries for p in d.packages if p.custody == "held"]:
            await self.step(
                stop, "scan", lambda p=package: self.client.scan(stop.stop_id, p.barcode, datetime.now(UTC))
            )
        return await self.settled(lambda: self.status_over(stop.stop_id))

    def _goes_wrong(self, stop: StopView, mishap: Mishap) -> bool:
        """Whether this stop is where it does; what happens once will not happen again."""
        for delivery in stop.deliveries:
            if self.bot.mishaps.get(delivery.external_delivery_id) is mishap:
                if mishap not in EVERY_TIME:
                    del self.bot.mishaps[delivery.external_delivery_id]
                return True
        return False

    def _store_code(self, stop: StopView) -> str:
        return self._manifest.handoff_codes.get(stop.store_id, "") if stop.store_id is not None else ""

    async def _photo(self, delivery: StopDeliveryView) -> Result:
        picture = hashlib.sha256(f"photo of {delivery.external_delivery_id}".encode()).hexdigest()
        return await self.client.add_proof(delivery.delivery_id, "photo", picture, datetime.now(UTC))

    async def _pin(self, delivery: StopDeliveryView) -> str | None:
        """Asks the customer at the door, who has it from the tracking page."""
        for _ in range(int(PIN_WAIT_SECONDS_MAX / PIN_POLL_SECONDS)):
            pin = self.bot.pins.get(delivery.external_delivery_id)
            if pin is not None:
                return pin
            await asyncio.sleep(PIN_POLL_SECONDS)
        return None
