"""At the store's counter: which packages left with the driver, and whether the store agreed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hmac import compare_digest
from uuid import UUID

from flexlive.domain.errors import ErrorCode
from flexlive.domain.packages import PackageCustody
from flexlive.domain.reasons import ReasonCode


@dataclass(frozen=True, slots=True)
class PackageState:
    package_id: UUID
    delivery_id: UUID
    barcode: str
    custody: PackageCustody
    scanned: bool
    rescanned: bool = False


@dataclass(frozen=True, slots=True)
class PickupRefused:
    """barcodes: those the refusal is about."""

    code: ErrorCode
    detail: str
    barcodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PickedUp:
    """held: package ids now with the driver. missing: package id → why it is not."""

    held: tuple[UUID, ...]
    missing: Mapping[UUID, ReasonCode]


def same_code(given: str, expected: str) -> bool:
    """Compares secrets in constant time, blind to case and surrounding blanks; an empty code never matches."""
    left, right = given.strip().casefold().encode(errors="replace"), expected.strip().casefold().encode()
    return bool(right) and compare_digest(left, right)


def find_package(packages: Sequence[PackageState], barcode: str) -> PackageState | None:
    """The package a scan at this stop means; None is a wrong package. An unscanned one comes first."""
    matching = [package for package in packages if package.barcode == barcode]
    return min(matching, key=lambda package: package.scanned, default=None)


def judge_pickup(
    packages: Sequence[PackageState],
    missing: Mapping[str, ReasonCode],
    *,
    store_code: str,
    store_code_expected: str,
    deliveries: Collection[UUID],
) -> PickedUp | PickupRefused:
    """Every package of the deliveries waiting at this stop is scanned or missing with a reason.

    A delivery of which nothing is there cannot be picked up; it is cancelled by the store, merchant or ops."""
    here = [package for package in packages if package.delivery_id in deliveries]
    if not same_code(store_code, store_code_expected):
        return PickupRefused(ErrorCode.WRONG_CODE, "the store's hand-off code is not right")
    strange = sorted(missing.keys() - {package.barcode for package in here})
    if strange:
        return PickupRefused(ErrorCode.WRONG_PACKAGE, "not packages of this stop", tuple(strange))
    open_barcodes = tuple(each.barcode for each in here if not each.scanned and each.barcode not in missing)
    if open_barcodes:
        return PickupRefused(ErrorCode.WRONG_PACKAGE, "neither scanned nor reported missing", open_barcodes)
    held = [package for package in here if package.scanned]
    if {package.delivery_id for package in held} != set(deliveries):
        return PickupRefused(ErrorCode.ILLEGAL_TRANSITION, "a delivery without any package cannot be picked up")
    absent = {package.package_id: missing[package.barcode] for package in here if not package.scanned}
    return PickedUp(tuple(package.package_id for package in held), absent)
