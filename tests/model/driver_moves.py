"""Commands of drivers: the one a sensible phone would send next, and any other."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from flexlive.domain.actors import ActorType
from flexlive.protocol import driver as wire
from flexlive.realtime.presence import Position
from flexlive.services import check_in
from tests.model.run import Run
from tests.support.world import SITE

INCIDENTS = ("customer_unavailable", "customer_refused", "package_damaged", "vehicle_problem", "address_problem",
             "age_not_verified", "merchant_closed")  # fmt: skip
ELSEWHERE = (SITE[0] - 0.3, SITE[1])
NOWHERE = UUID(int=0)


async def sensible(run: Run, place: int, *, again: bool = False, store: bool = True, customer: bool = True) -> bool:
    """The next legal command on this driver's way; False when there is none to be sent. store, customer: whether
    those play along with their codes."""
    driver_id = str(run.driver_at(place).driver_id)
    route = run.now.active_route(driver_id)
    if route is None:
        return await accept(run, place, again=again)
    mine = {each["delivery_id"]: each for each in run.now.deliveries.values() if each["route_id"] == route["route_id"]}
    for stop in route["stops"]:
        if stop["status"] in ("pending", "arrived"):
            return await _at(run, place, stop, mine, again=again, store=store, customer=customer)
    return await _leave_at_door(run, place, mine, again=again)


async def accept(run: Run, place: int, *, again: bool = False) -> bool:
    """The first open offer that this driver may win."""
    for offer in run.now.offers.values():
        if offer["status"] == "open":
            version = {"offer_id": UUID(offer["offer_id"]), "offer_version": offer["version"]}
            if (await run.driver(place, wire.OfferAccept, again=again, **version))["ok"]:
                return True
    return False


async def _at(
    run: Run, place: int, stop: Mapping[str, Any], mine: Mapping[str, Any], *, again: bool, store: bool, customer: bool
) -> bool:
    stop_id = UUID(stop["stop_id"])
    here = [mine[each] for each in stop["delivery_ids"] if each in mine]
    if stop["kind"] == "store" and any(each["status"] == "arrived_at_pickup" for each in here):
        waiting = [each for each in here if each["status"] == "arrived_at_pickup"]
        if barcode := _unread(run, place, waiting):
            return await _ok(run, place, wire.Scan, again, stop_id=stop_id, barcode=barcode, occurred_at=_now(run))
        code = run.lane.store_code(stop["store_id"])
        return store and await _ok(run, place, wire.PickupConfirm, again, stop_id=stop_id, store_code=code)
    if stop["status"] == "pending":
        return await _ok(run, place, wire.CheckIn, again, **arrival(run, stop))
    match stop["kind"]:
        case "door":
            return await _deliver(run, place, here[0], again=again, customer=customer)
        case "return":
            if barcode := _first(here, at=3):
                return await _ok(run, place, wire.Scan, again, stop_id=stop_id, barcode=barcode, occurred_at=_now(run))
            code = run.lane.store_code(stop["store_id"])
            return store and await _ok(run, place, wire.ReturnConfirm, again, stop_id=stop_id, store_code=code)
        case _:
            coming = [run.now.deliveries[each] for each in stop["delivery_ids"] if each in run.now.deliveries]
            for barcode in [package[0] for each in coming for package in each["packages"] if package[1] == "held"]:
                scan = {"stop_id": stop_id, "barcode": barcode, "occurred_at": _now(run)}
                if not (await run.driver(place, wire.Scan, again=again, **scan))["ok"]:
                    return False
            return True


async def _deliver(run: Run, place: int, delivery: Mapping[str, Any], *, again: bool, customer: bool) -> bool:
    order, delivery_id = run.order(delivery["delivery_id"]), UUID(delivery["delivery_id"])
    if order.plan.photo and delivery["delivery_id"] not in run.photographed:
        return await photograph(run, place, delivery_id, again=again)
    if order.plan.pincode and not customer:
        return False
    pincode = order.pincode if order.plan.pincode else None
    return await _ok(run, place, wire.Deliver, again, delivery_id=delivery_id, pincode=pincode, occurred_at=_now(run))


async def _leave_at_door(run: Run, place: int, mine: Mapping[str, Any], *, again: bool) -> bool:
    """What is undeliverable and may be left: with a photo, without a PIN."""
    for each in mine.values():
        if each["status"] == "undeliverable" and each["undeliverable_action"] == "leave_at_door":
            delivery_id = UUID(each["delivery_id"])
            await photograph(run, place, delivery_id, again=again)
            left = {"delivery_id": delivery_id, "left_at": "At the door", "occurred_at": _now(run)}
            if (await run.driver(place, wire.Deliver, again=again, **left))["ok"]:
                return True
    return False


async def photograph(run: Run, place: int, delivery_id: UUID, *, again: bool = False) -> bool:
    photo = {"delivery_id": delivery_id, "kind": "photo", "sha256": "ab" * 32, "occurred_at": _now(run)}
    taken = (await run.driver(place, wire.ProofAdd, again=again, **photo))["ok"]
    if taken:
        run.photographed.add(str(delivery_id))
    return taken


async def report(run: Run, place: int, delivery_id: UUID, reason: str, *, again: bool = False) -> bool:
    return await _ok(run, place, wire.IncidentReport, again, delivery_id=delivery_id, reason_code=reason)


async def forfeit(run: Run, place: int, route_id: UUID, *, again: bool = False) -> bool:
    return await _ok(run, place, wire.RouteForfeit, again, route_id=route_id, reason="too_far")


async def anything(run: Run, place: int, kind: str, a: int, b: int, *, again: bool) -> None:
    """A command that may or may not be legal: of whatever stop, delivery or package of the run."""
    stop, delivery_id, barcode = _any_stop(run, a), _any_delivery(run, a), _any_barcode(run, b)
    stop_id = UUID(stop["stop_id"])
    code = run.lane.store_code(stop["store_id"]) if stop["store_id"] and b % 4 else "000000"
    match kind:
        case "accept":
            offers = list(run.now.offers)
            offer_id = UUID(offers[a % len(offers)]) if offers else NOWHERE
            await run.driver(place, wire.OfferAccept, again=again, offer_id=offer_id, offer_version=1 + (b == 7))
        case "decline":
            offers = list(run.now.offers)
            offer_id = UUID(offers[a % len(offers)]) if offers else uuid4()
            await run.driver(place, wire.OfferDecline, again=again, offer_id=offer_id, reason="too_far")
        case "depart":
            await run.driver(place, wire.Depart, again=again, stop_id=stop_id)
        case "check_in":
            await run.driver(place, wire.CheckIn, again=again, **arrival(run, stop, astray=b % 4 == 0))
        case "scan":
            await run.driver(place, wire.Scan, again=again, stop_id=stop_id, barcode=barcode, occurred_at=_now(run))
        case "confirm":
            missing = (wire.Missing(barcode=barcode, reason="item_missing"),) if b % 2 else ()
            await run.driver(place, wire.PickupConfirm, again=again, stop_id=stop_id, store_code=code, missing=missing)
        case "photo":
            await photograph(run, place, delivery_id, again=again)
        case "deliver":
            pincode, left_at = (None, "4711", "0000", "4711")[b % 4], ("At the door" if b > 5 else None)
            said = {"delivery_id": delivery_id, "pincode": pincode, "left_at": left_at, "occurred_at": _now(run)}
            await run.driver(place, wire.Deliver, again=again, **said)
        case "incident":
            await report(run, place, delivery_id, INCIDENTS[b % len(INCIDENTS)], again=again)
        case "return":
            await run.driver(place, wire.ReturnConfirm, again=again, stop_id=stop_id, store_code=code)
        case "forfeit":
            routes = list(run.now.routes)
            await forfeit(run, place, UUID(routes[a % len(routes)]) if routes else NOWHERE, again=again)
        case "crossing":
            await crossing(run, place, stop, astray=b % 4 == 0)
        case _:
            raise AssertionError(kind)


KINDS = ("accept", "decline", "depart", "check_in", "scan", "confirm", "photo", "deliver", "incident", "return",
         "forfeit", "crossing")  # fmt: skip


async def crossing(run: Run, place: int, stop: Mapping[str, Any], *, astray: bool) -> None:
    """A position says that the driver is there, or has set off."""
    principal, stop_id = run.driver_at(place), UUID(stop["stop_id"])
    here = ELSEWHERE if astray else (stop["lat"], stop["lon"])
    position = Position(*here, 5.0, _now(run), _now(run))
    if stop["kind"] == "site":
        await run.staff(ActorType.SYSTEM, "set off", lambda: check_in.set_off(run.ctx, principal, stop_id))
    elif stop["kind"] == "door" and not astray:
        await run.staff(ActorType.SYSTEM, "cross", lambda: check_in.cross(run.ctx, principal, stop_id, position))


def arrival(run: Run, stop: Mapping[str, Any], *, astray: bool = False) -> dict[str, Any]:
    """Fields of a check-in at the stop's place, or far from it."""
    lat, lon = ELSEWHERE if astray else (stop["lat"], stop["lon"])
    point = wire.Point(lat=lat, lon=lon, at=_now(run), accuracy_m=5)
    return {"stop_id": UUID(stop["stop_id"]), "method": "geofence", "at": _now(run), "point": point}


async def _ok(run: Run, place: int, frame: type, again: bool, **fields: Any) -> bool:
    return (await run.driver(place, frame, again=again, **fields))["ok"]


def _unread(run: Run, place: int, deliveries: list[Mapping[str, Any]]) -> str | None:
    driver_id = str(run.driver_at(place).driver_id)
    for each in deliveries:
        read = run.scanned.get((each["delivery_id"], driver_id), set())
        for package in each["packages"]:
            if package[0] not in read and package[1] == "store":
                return package[0]
    return None


def _first(deliveries: list[Mapping[str, Any]], *, at: int) -> str | None:
    """The first barcode on board that is not marked in that place of the observation."""
    return next(
        (package[0] for each in deliveries for package in each["packages"] if package[1] == "held" and not package[at]),
        None,
    )


def _any_stop(run: Run, which: int) -> Mapping[str, Any]:
    stops = run.now.stops()
    if not stops:
        return {"stop_id": str(NOWHERE), "kind": "door", "store_id": None, "lat": SITE[0], "lon": SITE[1]}
    return stops[which % len(stops)]


def _any_delivery(run: Run, which: int) -> UUID:
    return run.orders[which % len(run.orders)].created.delivery_id


def _any_barcode(run: Run, which: int) -> str:
    barcodes = [package[0] for each in run.now.deliveries.values() for package in each["packages"]]
    return barcodes[which % len(barcodes)] if which < 7 else "NOT-A-PACKAGE"


def _now(run: Run) -> datetime:
    return run.ctx.clock()
