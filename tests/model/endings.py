"""However a run stands and whoever is gone: everything is brought to an end by legal commands of the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flexlive.domain.actors import ActorType
from flexlive.domain.deliveries import ASSIGNED_BEFORE_CUSTODY, TO_CUSTOMER
from tests.model import driver_moves, staff_moves
from tests.model.laws import OWN_LEG
from tests.model.run import Run

STEPS_MAX = 80


async def finish(run: Run, gone: ActorType | None) -> None:
    """gone: who does nothing at all any more."""
    for _ in range(STEPS_MAX):
        left = run.open()
        if not left:
            break
        for delivery in left:
            if await _forward(run, delivery, gone):
                break
        else:
            raise AssertionError(("a trap", gone, [(each["delivery_id"], each["status"]) for each in left]))
    assert run.open() == [], "it never ends"
    assert [route for route in run.now.routes.values() if route["status"] == "active"] == [], "a route without an end"


async def _forward(run: Run, delivery: Mapping[str, Any], gone: ActorType | None) -> bool:
    """One step for this delivery; False when there is none."""
    status, delivery_id = delivery["status"], UUID(delivery["delivery_id"])
    if status == "created":
        placed = gone is not ActorType.DRIVER and await _placed(run, delivery_id, gone)
        return placed or await _called_off(run, delivery_id, gone)
    if status in ASSIGNED_BEFORE_CUSTODY:
        if gone is ActorType.DRIVER:
            return await staff_moves.ops(run, "unassign", run.number(delivery_id), 0)
        return await _driven(run, delivery, gone) or await _called_off(run, delivery_id, gone)
    if gone is ActorType.DRIVER:
        return await staff_moves.ops(run, "lose", run.number(delivery_id), 0)
    if delivery["transfer_route_id"] is not None and await _met(run, delivery):
        return True
    if status in TO_CUSTOMER:
        return await _driven(run, delivery, gone) or await _reported(run, delivery)
    if status == "undeliverable":
        return await _decided(run, delivery, gone)
    return await _driven(run, delivery, gone) or await _lost(run, delivery_id, gone)


async def _driven(run: Run, delivery: Mapping[str, Any], gone: ActorType | None) -> bool:
    return await driver_moves.sensible(
        run,
        run.place_of(delivery["driver_id"]),
        store=gone is not ActorType.STORE,
        customer=gone is not ActorType.CUSTOMER,
    )


async def _placed(run: Run, delivery_id: UUID, gone: ActorType | None) -> bool:
    """Some driver takes it, from an offer or from an operator."""
    idle = [place for place, each in enumerate(run.lane.drivers) if run.now.active_route(str(each.driver_id)) is None]
    if gone is not ActorType.SYSTEM:
        if not _offered(run, delivery_id):
            await staff_moves.offer(run)
        for place in idle:
            if _offered(run, delivery_id) and await driver_moves.accept(run, place):
                return True
    if gone is not ActorType.OPS:
        for place in idle:
            if await staff_moves.assign(run, delivery_id, run.driver_at(place).driver_id):
                return True
    return False


def _offered(run: Run, delivery_id: UUID) -> bool:
    return any(
        offer["status"] == "open" and str(delivery_id) in offer["delivery_ids"] for offer in run.now.offers.values()
    )


async def _called_off(run: Run, delivery_id: UUID, gone: ActorType | None) -> bool:
    if gone is not ActorType.MERCHANT:
        return await staff_moves.cancel_by_merchant(run, delivery_id)
    return await staff_moves.ops(run, "cancel", run.number(delivery_id), 0)


async def _reported(run: Run, delivery: Mapping[str, Any]) -> bool:
    """Nobody opens: the driver says so of the customer whose door it is, and everybody else's turn comes."""
    on_route = [each for each in run.open() if each["route_id"] == delivery["route_id"]]
    at_door = next((each for each in on_route if each["status"] in OWN_LEG), delivery)
    return await driver_moves.report(
        run, run.place_of(delivery["driver_id"]), UUID(at_door["delivery_id"]), "customer_unavailable"
    )


async def _decided(run: Run, delivery: Mapping[str, Any], gone: ActorType | None) -> bool:
    delivery_id = UUID(delivery["delivery_id"])
    if gone is ActorType.OPS:
        if await _driven(run, delivery, gone):
            return True
        # The rule decides once the time for operators is over.
        return await staff_moves.wait(run, 1.0) and run.now.deliveries[str(delivery_id)]["status"] != "undeliverable"
    if gone is ActorType.STORE:
        return await staff_moves.resolve(run, delivery_id, "dispose")
    # Once more to the door, the first time; where it is to wait for its turn, the driver goes on with what is next.
    again = delivery["attempts"] < 2 and gone is not ActorType.CUSTOMER
    agreed = any(stop["kind"] == "door" and str(delivery_id) in stop["delivery_ids"] for stop in _open_stops(run))
    if again and agreed:
        return await _driven(run, delivery, gone)
    return await staff_moves.resolve(run, delivery_id, "retry" if again else "return_to_pickup")


def _open_stops(run: Run) -> list[Mapping[str, Any]]:
    return [stop for stop in run.now.stops() if stop["status"] in ("pending", "arrived")]


async def _met(run: Run, delivery: Mapping[str, Any]) -> bool:
    """The second driver comes and takes it over."""
    second = run.now.routes[delivery["transfer_route_id"]]["driver_id"]
    return await driver_moves.sensible(run, run.place_of(second))


async def _lost(run: Run, delivery_id: UUID, gone: ActorType | None) -> bool:
    return gone is not ActorType.OPS and await staff_moves.ops(run, "lose", run.number(delivery_id), 0)
