"""Every row of the ledger has words, and they name nobody."""

from __future__ import annotations

import pytest

from flexlive.domain.earnings import explain
from flexlive.domain.pay import LedgerKind


@pytest.mark.parametrize("kind", LedgerKind)
def test_every_kind_is_explained(kind: LedgerKind) -> None:
    for event in ("delivery.delivered", "delivery.cancelled", "driver.pay_adjusted", "something.new"):
        text = explain(kind, event, "Toys {store}", None)
        assert text[0].isupper()
        assert "Pay, " not in text
    assert explain("of a later version", "delivery.delivered", None, None) == "Pay, delivery from the store: delivered"


def test_why_follows_what() -> None:
    assert explain("partial", "delivery.cancelled", "Toys", "merchant_cancelled") == (
        "Part of the pay, delivery from Toys: cancelled after you had checked in"
    )
    assert explain("wait", "delivery.picked_up", "Toys", None) == "Waiting at Toys beyond the free time"
    assert explain("return", "delivery.returned", "Toys", None) == "Way back to Toys with an undelivered order"
    assert explain("adjustment", "delivery.pay_adjusted", "Toys", "ops_decision") == (
        "Adjustment by operations: delivery from Toys, ops decision"
    )
