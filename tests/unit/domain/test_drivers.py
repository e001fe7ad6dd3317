from __future__ import annotations

from flexlive.domain.drivers import ENROLMENT_TRANSITIONS, VEHICLE_DEFAULTS, EnrolmentStatus, VehicleKind


def test_enrolment_goes_through_documents_and_may_be_suspended_and_restored() -> None:
    into_active = {source for source, target in ENROLMENT_TRANSITIONS if target is EnrolmentStatus.ACTIVE}
    assert into_active == {EnrolmentStatus.DOCUMENTS, EnrolmentStatus.SUSPENDED}
    assert {source for source, _ in ENROLMENT_TRANSITIONS} == set(EnrolmentStatus)


def test_every_kind_of_vehicle_has_usual_measures() -> None:
    assert set(VEHICLE_DEFAULTS) == set(VehicleKind)
    assert all(1 <= vehicle.packages_max <= 200 for vehicle in VEHICLE_DEFAULTS.values())
