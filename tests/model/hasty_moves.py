"""What a driver's phone would send next if it left something out: the look, the code, the proof, the way there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flexlive.protocol import driver as wire
from tests.model import driver_moves
from tests.model.run import Run

WRONG = "000000"


async def hasty(run: Run, place: int, b: int, *, again: bool) -> None:
    """b: what is left out, where there is a choice."""
    route = run.now.active_route(str(run.driver_at(place).driver_id))
    stop = next((each for each in route["stops"] if each["status"] in ("pending", "arrived")), None) if route else None
    if route is None or stop is None:
        return
    mine = {each["delivery_id"]: each for each in run.now.deliveries.values() if each["route_id"] == route["route_id"]}
    here = [mine[each] for each in stop["delivery_ids"] if each in mine]
    stop_id = UUID(stop["stop_id"])
    at = {"stop_id": stop_id, "store_code": _code(run, stop, b)}
    if stop["kind"] == "store" and here and here[0]["status"] == "arrived_at_pickup":
        await run.driver(place, wire.PickupConfirm, again=again, **at)
    elif stop["kind"] == "door" and here and (stop["status"] == "arrived" or b < 2):
        # Before the driver is there, or with a wrong PIN, or none, or without the photo.
        pincode = (None, "4711", WRONG, None)[b % 4]
        said = {"delivery_id": UUID(here[0]["delivery_id"]), "pincode": pincode, "occurred_at": run.ctx.clock()}
        await run.driver(place, wire.Deliver, again=again, left_at="At the door" if b > 5 else None, **said)
    elif stop["kind"] == "return" and stop["status"] == "arrived":
        await run.driver(place, wire.ReturnConfirm, again=again, **at)
    else:
        await run.driver(place, wire.CheckIn, again=again, **driver_moves.arrival(run, stop, astray=True))


def _code(run: Run, stop: Mapping[str, Any], b: int) -> str:
    """Right, so that only the scans are wanting, or wrong."""
    return run.lane.store_code(stop["store_id"]) if stop["store_id"] and b % 2 else WRONG
