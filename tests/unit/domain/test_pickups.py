from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexlive.domain.errors import ErrorCode
from flexlive.domain.packages import CUSTODY_TRANSITIONS, PackageCustody
from flexlive.domain.pickups import PackageState, PickedUp, PickupRefused, find_package, judge_pickup, same_code
from flexlive.domain.reasons import ReasonCode
from tests.unit.domain.builders import uid


def package(number: int, delivery: int = 1, *, scanned: bool = True) -> PackageState:
    return PackageState(uid(number), uid(delivery), f"BAR{number}", PackageCustody.STORE, scanned)


def judge(packages: list[PackageState], missing: dict[str, ReasonCode] | None = None, **changes: str):
    codes = {"store_code": "K7", "store_code_expected": "K7"} | changes
    return judge_pickup(packages, missing or {}, deliveries={each.delivery_id for each in packages}, **codes)


def test_everything_scanned() -> None:
    assert judge([package(10), package(11, 2)]) == PickedUp((uid(10), uid(11)), {})


def test_one_missing_with_a_reason() -> None:
    verdict = judge([package(10), package(11, scanned=False)], {"BAR11": ReasonCode.ITEM_MISSING})
    assert verdict == PickedUp((uid(10),), {uid(11): ReasonCode.ITEM_MISSING})


def test_neither_scanned_nor_missing() -> None:
    verdict = judge([package(10), package(11, scanned=False)])
    assert isinstance(verdict, PickupRefused)
    assert (verdict.code, verdict.barcodes) == (ErrorCode.WRONG_PACKAGE, ("BAR11",))


def test_a_delivery_needs_at_least_one_package() -> None:
    verdict = judge([package(10), package(11, 2, scanned=False)], {"BAR11": ReasonCode.ITEM_MISSING})
    assert isinstance(verdict, PickupRefused)
    assert verdict.code is ErrorCode.ILLEGAL_TRANSITION


def test_missing_names_a_package_of_this_stop() -> None:
    verdict = judge([package(10)], {"BAR99": ReasonCode.ITEM_MISSING})
    assert verdict == PickupRefused(ErrorCode.WRONG_PACKAGE, "not packages of this stop", ("BAR99",))


def test_the_store_has_to_agree() -> None:
    verdict = judge([package(10)], store_code="K8")
    assert isinstance(verdict, PickupRefused)
    assert verdict.code is ErrorCode.WRONG_CODE


def test_packages_of_deliveries_not_waiting_here_are_left_alone() -> None:
    packages = [package(10), package(11, 2, scanned=False)]
    verdict = judge_pickup(packages, {}, store_code="K7", store_code_expected="K7", deliveries={uid(1)})
    assert verdict == PickedUp((uid(10),), {})


def test_a_scan_finds_the_package_still_to_be_scanned() -> None:
    first, second = package(10), PackageState(uid(11), uid(2), "BAR10", PackageCustody.STORE, scanned=False)
    assert find_package([first, second], "BAR10") == second
    assert find_package([first, second], "BAR12") is None


@pytest.mark.parametrize(
    ("given_code", "expected", "same"),
    [
        ("k7", "K7", True),
        (" K7 ", "K7", True),
        ("K7", "K70", False),
        ("", "", False),
        ("ß", "ss", True),
        ("\ud800", "?x", False),
    ],
)
def test_codes_as_people_type_them(given_code: str, expected: str, same: bool) -> None:
    assert same_code(given_code, expected) is same


@given(st.text(), st.text())
def test_any_text_may_be_given_as_a_code(given_code: str, expected: str) -> None:
    assert same_code(given_code, expected) in (True, False)


def test_no_package_vanishes() -> None:
    left = {source for source, _ in CUSTODY_TRANSITIONS}
    assert left == {PackageCustody.STORE, PackageCustody.HELD}
    assert {target for _, target in CUSTODY_TRANSITIONS} == set(PackageCustody) - {PackageCustody.STORE}
