"""What must have been shown before a driver's command may move a delivery: codes, scans, proofs, being there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flexlive.domain.geography import Point, distance_m
from flexlive.protocol.driver import CheckIn, Command, Deliver, PickupConfirm, ReturnConfirm
from tests.model.observation import Observation

if TYPE_CHECKING:
    from tests.model.run import Run

FENCE_M = 300.0


def guarded(run: Run, command: Command, before: Observation) -> None:
    """AssertionError when this command has moved something without what that takes."""
    for delivery_id, now in run.now.deliveries.items():
        was = before.deliveries[delivery_id]
        if now["status"] == was["status"]:
            continue
        match command:
            case CheckIn():
                stop = _stop(before, command)
                here = command.point
                assert here is not None
                away_m = distance_m(Point(here.lat, here.lon), Point(stop["lat"], stop["lon"]))
                assert away_m < FENCE_M, "from afar"
            case PickupConfirm() if was["status"] == "arrived_at_pickup":
                _code_is_right(run, command, before)
                said = {missing.barcode for missing in command.missing}
                gone = {package[0] for package in now["packages"] if package[1] == "missing"}
                assert gone <= said, "missing, and nobody said so"
            case ReturnConfirm() if was["status"] == "arrived_at_return":
                _code_is_right(run, command, before)
                assert all(package[3] for package in was["packages"] if package[1] == "held"), "not scanned again"
            case Deliver() if now["status"] == "delivered":
                _proofs_are_met(run, command, was)
            case _:
                pass


def _code_is_right(run: Run, command: PickupConfirm | ReturnConfirm, before: Observation) -> None:
    assert command.store_code == run.lane.store_code(_stop(before, command)["store_id"]), "with a wrong code"


def _proofs_are_met(run: Run, command: Deliver, was: Mapping[str, Any]) -> None:
    plan = run.order(was["delivery_id"]).plan
    left = was["status"] == "undeliverable" and command.left_at is not None
    assert was["status"] == "arrived_at_dropoff" or left, "not at the door"
    assert not (plan.photo or left) or was["delivery_id"] in run.photographed, "without a photo"
    assert not plan.pincode or was["delivery_id"] in run.proved or left, "without the PIN"


def _stop(before: Observation, command: CheckIn | PickupConfirm | ReturnConfirm) -> Mapping[str, Any]:
    return next(stop for stop in before.stops() if stop["stop_id"] == str(command.stop_id))
