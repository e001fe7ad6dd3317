"""What a door asks for before a delivery counts as delivered."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from flexlive.domain.pickups import same_code


class ProofKind(StrEnum):
    PHOTO = "photo"
    SIGNATURE = "signature"
    PINCODE = "pincode"
    AGE = "age"
    BARCODE = "barcode"


class Verification(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """dropoff_verification as stored and as sent by merchants. min_age in years."""

    photo: bool = False
    signature: bool = False
    pincode: bool = False
    min_age: int | None = None
    barcodes: tuple[str, ...] = ()


def proofs_required(verification: Verification) -> tuple[ProofKind, ...]:
    asked = {
        ProofKind.PHOTO: verification.photo,
        ProofKind.SIGNATURE: verification.signature,
        ProofKind.PINCODE: verification.pincode,
        ProofKind.AGE: verification.min_age is not None,
        ProofKind.BARCODE: bool(verification.barcodes),
    }
    return tuple(kind for kind, wanted in asked.items() if wanted)


def proofs_missing(
    verification: Verification, given: Collection[ProofKind], barcodes_scanned: Collection[str] = ()
) -> tuple[ProofKind, ...]:
    """What is still needed; () means the delivery may be delivered. given includes pincode once it was right."""
    have: set[ProofKind] = set(given)
    if set(verification.barcodes) <= set(barcodes_scanned):
        have.add(ProofKind.BARCODE)
    return tuple(kind for kind in proofs_required(verification) if kind not in have)


@dataclass(frozen=True, slots=True)
class PinRight:
    pass


@dataclass(frozen=True, slots=True)
class PinWrong:
    """Counts as an attempt; attempts_left after this one."""

    attempts_left: int


@dataclass(frozen=True, slots=True)
class PinExhausted:
    """No attempt is left and this one was not looked at: only an incident or ops goes on from here."""


@dataclass(frozen=True, slots=True)
class PinMissing:
    """None was given; not an attempt."""


def judge_pin(
    expected: str, given: str | None, attempts: int, attempts_max: int
) -> PinRight | PinWrong | PinExhausted | PinMissing:
    """attempts: wrong ones so far."""
    if given is None or not given.strip():
        return PinMissing()
    if attempts >= attempts_max:
        return PinExhausted()
    if same_code(given, expected):
        return PinRight()
    return PinWrong(attempts_max - attempts - 1)
