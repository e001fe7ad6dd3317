from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexlive.domain.deliveries import DeliveryStatus
from flexlive.domain.pay import (
    DeliveryPay,
    LedgerKind,
    LedgerRow,
    Pay,
    PayRule,
    ended_rows,
    partial_cents,
    quote,
    return_cents,
    split_pay,
    wait_cents,
)

D = DeliveryStatus
cents = st.integers(0, 5_000)
rules = st.builds(
    PayRule,
    base_cents=cents,
    delivery_cents=cents,
    package_cents=cents,
    km_cents=cents,
    minimum_cents=cents,
    wait_rate_cents_per_minute=cents,
    return_base_cents=cents,
    return_km_cents=cents,
)


@given(rules, st.floats(0, 50_000), st.integers(1, 12), st.integers(1, 30), cents)
def test_more_work_never_pays_less(rule: PayRule, distance_m: float, deliveries: int, packages: int, tip: int) -> None:
    pay = quote(rule, distance_m=distance_m, deliveries=deliveries, packages=packages, tip_cents=tip)
    more = quote(rule, distance_m=distance_m + 500, deliveries=deliveries + 1, packages=packages + 1, tip_cents=tip)
    assert more.base_cents >= pay.base_cents >= rule.minimum_cents
    assert pay.tip_cents == tip
    assert isinstance(pay.base_cents, int)
    assert 0 <= pay.distance_cents <= pay.base_cents
    assert return_cents(rule, distance_m + 500) >= return_cents(rule, distance_m) >= rule.return_base_cents


@given(cents, cents, st.integers(1, 12))
def test_what_the_deliveries_earn_adds_up_to_what_the_offer_promised(work: int, distance: int, count: int) -> None:
    shares = split_pay(work + distance, distance, count)
    rows = [row for share in shares for row in ended_rows(D.DELIVERED, share)]
    assert sum(row.amount_cents for row in rows) == work + distance
    assert sum(row.amount_cents for row in rows if row.kind is LedgerKind.DISTANCE) == distance
    assert shares == sorted(shares, key=lambda share: (share.base_cents, share.distance_cents), reverse=True)
    assert max(share.base_cents for share in shares) - min(share.base_cents for share in shares) <= 1


def test_nothing_is_divided_that_is_not_there() -> None:
    for base, distance, count in ((100, 200, 1), (100, -1, 1), (100, 50, 0)):
        with pytest.raises(ValueError):
            split_pay(base, distance, count)


def test_a_quote() -> None:
    rule = PayRule(base_cents=500, delivery_cents=250, package_cents=25, km_cents=60, minimum_cents=700)
    assert quote(rule, distance_m=0, deliveries=1, packages=1, tip_cents=0) == Pay(700, 0, 25, 0)
    assert quote(rule, distance_m=10_000, deliveries=2, packages=3, tip_cents=300) == Pay(1425, 300, 25, 600)
    assert return_cents(rule, 10_000) == 900


PAID = DeliveryPay(500, 101)


@pytest.mark.parametrize(
    ("status", "kinds"),
    [
        (D.DELIVERED, {LedgerKind.BASE: 500, LedgerKind.DISTANCE: 101, LedgerKind.TIP: 300}),
        (D.DISPOSED, {LedgerKind.BASE: 500, LedgerKind.DISTANCE: 101}),
        (D.RETURNED, {LedgerKind.BASE: 500, LedgerKind.DISTANCE: 101, LedgerKind.RETURN: 420}),
        (D.CANCELLED, {LedgerKind.PARTIAL: 301}),
        (D.LOST, {}),
        (D.PICKED_UP, {}),
    ],
)
def test_what_each_ending_earns(status: DeliveryStatus, kinds: dict[LedgerKind, int]) -> None:
    rows = ended_rows(status, PAID, tip_cents=300, return_cents=420, checked_in=True, partial_share=0.5)
    assert {row.kind: row.amount_cents for row in rows} == kinds
    assert len(rows) == len(kinds)


def test_a_cancellation_before_the_check_in_earns_nothing_and_no_row_is_empty() -> None:
    assert ended_rows(D.CANCELLED, PAID, partial_share=0.5) == []
    assert ended_rows(D.DELIVERED, DeliveryPay(700, 0)) == [LedgerRow(LedgerKind.BASE, 700)]
    assert partial_cents(DeliveryPay(700, 1), 1.0) == 701


@pytest.mark.parametrize(
    ("waited", "scale", "minutes"), [(0, 1, 0), (300, 1, 0), (300.5, 1, 1), (360, 1, 1), (361, 1, 2), (11, 60, 6)]
)
def test_waiting_is_paid_by_the_minute_begun_beyond_the_free_ones(waited: float, scale: float, minutes: int) -> None:
    assert wait_cents(25, waited, 300 / scale, time_scale=scale) == 25 * minutes


def test_rules_read_back_and_are_not_negative() -> None:
    assert msgspec.convert(msgspec.to_builtins(PayRule()), PayRule) == PayRule()
    with pytest.raises(ValueError, match="negative"):
        PayRule(km_cents=-1)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"km_cents": -1}, PayRule)
