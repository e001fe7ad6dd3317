"""Commands that fit where a delivery stands just now: what seldom comes up by chance alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flexlive.domain.deliveries import ASSIGNED_BEFORE_CUSTODY, CUSTODY, TO_CUSTOMER
from tests.model import driver_moves, staff_moves
from tests.model.run import Run


async def aimed(run: Run, a: int, b: int, *, again: bool) -> None:
    """a: at which delivery that has not ended; b: with what."""
    left = run.open()
    if not left:
        return
    on_board = [each for each in left if each["status"] in CUSTODY]
    candidates = on_board if on_board and a else left
    delivery = candidates[a % len(candidates)]
    number = run.number(UUID(delivery["delivery_id"]))
    if delivery["transfer_route_id"] is not None and b % 4:
        await _meet(run, delivery, again=again)
    elif delivery["status"] == "created":
        await _waiting(run, number, a, b)
    elif delivery["status"] in ASSIGNED_BEFORE_CUSTODY:
        await _before_custody(run, delivery, number, b, again=again)
    elif delivery["status"] in TO_CUSTOMER:
        await _on_the_way(run, delivery, number, a, b, again=again)
    elif delivery["status"] == "undeliverable":
        await _undeliverable(run, delivery, number, b, again=again)
    else:
        await _going_back(run, delivery, number, b, again=again)


async def _meet(run: Run, delivery: Mapping[str, Any], *, again: bool) -> None:
    """The second driver goes on towards taking it over."""
    route = run.now.routes[delivery["transfer_route_id"]]
    await driver_moves.sensible(run, run.place_of(route["driver_id"]), again=again)


async def _waiting(run: Run, number: int, a: int, b: int) -> None:
    match b:
        case 0 | 1:
            await staff_moves.ops(run, "assign", number, a)
        case 2:
            await staff_moves.ops(run, "reoffer", number, a)
        case 3:
            await staff_moves.wait(run, 3.0)
        case _:
            await staff_moves.offer(run)


async def _before_custody(run: Run, delivery: Mapping[str, Any], number: int, b: int, *, again: bool) -> None:
    place = run.place_of(delivery["driver_id"])
    match b:
        case 0:
            await driver_moves.forfeit(run, place, UUID(delivery["route_id"]), again=again)
        case 1:
            await staff_moves.ops(run, "unassign", number, 0)
        case 2:
            await staff_moves.set_readiness(run, UUID(delivery["delivery_id"]), "unavailable")
        case 3:
            await staff_moves.wait(run, 1.0)
        case 4:
            await _let_in(run, delivery)
        case 5:
            await _cross(run, delivery)
        case _:
            await driver_moves.sensible(run, place, again=again)


async def _on_the_way(run: Run, delivery: Mapping[str, Any], number: int, a: int, b: int, *, again: bool) -> None:
    place = run.place_of(delivery["driver_id"])
    match b:
        case 0 | 1 | 2:
            reason = driver_moves.INCIDENTS[(a + 3 * b) % len(driver_moves.INCIDENTS)]
            await driver_moves.report(run, place, UUID(delivery["delivery_id"]), reason, again=again)
        case 3 | 4 | 7:
            await staff_moves.ops(run, "transfer", number + 8 * (a % 2) * len(run.orders), place + 1 + a % 2)
        case 5:
            await _let_in(run, delivery)
        case _:
            await _cross(run, delivery)


async def _undeliverable(run: Run, delivery: Mapping[str, Any], number: int, b: int, *, again: bool) -> None:
    place, delivery_id = run.place_of(delivery["driver_id"]), UUID(delivery["delivery_id"])
    match b:
        case 0 | 1 | 2 | 3:
            await staff_moves.resolve(run, delivery_id, staff_moves.RESOLUTIONS[b])
        case 4:
            await staff_moves.wait(run, 1.0)
        case 5:
            await staff_moves.ops(run, "transfer", number, place + 1)
        case _:
            await driver_moves.sensible(run, place, again=again)


async def _going_back(run: Run, delivery: Mapping[str, Any], number: int, b: int, *, again: bool) -> None:
    place = run.place_of(delivery["driver_id"])
    match b:
        case 0:
            await staff_moves.ops(run, "transfer", number, place + 1)
        case 1:
            await _let_in(run, delivery)
        case 2:
            await staff_moves.ops(run, "lose", number, 0)
        case _:
            await driver_moves.sensible(run, place, again=again)


def _next_stop(run: Run, delivery: Mapping[str, Any]) -> Mapping[str, Any] | None:
    stops = run.now.routes[delivery["route_id"]]["stops"]
    return next((stop for stop in stops if stop["status"] in ("pending", "arrived")), None)


async def _let_in(run: Run, delivery: Mapping[str, Any]) -> None:
    """An operator says that the driver is there."""
    stop = _next_stop(run, delivery)
    if stop is not None:
        await staff_moves.check_in(run, UUID(stop["stop_id"]))


async def _cross(run: Run, delivery: Mapping[str, Any]) -> None:
    stop = _next_stop(run, delivery)
    if stop is not None:
        await driver_moves.crossing(run, run.place_of(delivery["driver_id"]), stop, astray=False)
