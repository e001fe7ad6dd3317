from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexlive.domain.proofs import (
    PinExhausted,
    PinMissing,
    PinRight,
    PinWrong,
    ProofKind,
    Verification,
    judge_pin,
    proofs_missing,
    proofs_required,
)

verifications = st.builds(
    Verification,
    photo=st.booleans(),
    signature=st.booleans(),
    pincode=st.booleans(),
    min_age=st.none() | st.integers(16, 25),
    barcodes=st.lists(st.text("AB1", min_size=1, max_size=3), max_size=3).map(tuple),
)


@given(verifications, st.sets(st.sampled_from(ProofKind)), st.sets(st.text("AB1", min_size=1, max_size=3)))
def test_what_is_missing_is_what_was_asked_and_not_given(
    asked: Verification, given_proofs: set[ProofKind], scanned: set[str]
) -> None:
    missing = set(proofs_missing(asked, given_proofs, scanned))
    assert missing <= set(proofs_required(asked)) - given_proofs
    assert proofs_missing(asked, set(ProofKind), asked.barcodes) == ()
    assert (ProofKind.BARCODE in missing) <= (not set(asked.barcodes) <= scanned)


@given(verifications)
def test_a_verification_reads_back(asked: Verification) -> None:
    assert msgspec.convert(msgspec.to_builtins(asked), Verification) == asked


def test_nothing_asked_nothing_missing() -> None:
    assert proofs_missing(msgspec.convert({}, Verification), ()) == ()
    assert proofs_missing(Verification(photo=True, pincode=True), {ProofKind.PHOTO}) == (ProofKind.PINCODE,)


@pytest.mark.parametrize(
    ("pin", "attempts", "verdict"),
    [
        ("4711", 0, PinRight()),
        ("4711", 4, PinRight()),
        ("4711", 5, PinExhausted()),
        ("0000", 0, PinWrong(4)),
        ("0000", 4, PinWrong(0)),
        ("0000", 5, PinExhausted()),
        (None, 0, PinMissing()),
        (" ", 0, PinMissing()),
    ],
)
def test_five_attempts_at_a_pin(pin: str | None, attempts: int, verdict: object) -> None:
    assert judge_pin("4711", pin, attempts, 5) == verdict
