from __future__ import annotations

from flexlive.domain.drivers import VEHICLE_DEFAULTS, VehicleKind


def test_every_kind_of_vehicle_has_usual_measures() -> None:
    assert set(VEHICLE_DEFAULTS) == set(VehicleKind)
    assert all(1 <= vehicle.packages_max <= 200 for vehicle in VEHICLE_DEFAULTS.values())
