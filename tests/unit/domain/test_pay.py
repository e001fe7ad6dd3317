from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexlive.domain.pay import LedgerKind, LedgerRow, Pay, PayRule, quote, route_rows
from tests.unit.domain.builders import uid

cents = st.integers(0, 5_000)
rules = st.builds(
    PayRule,
    base_cents=cents,
    delivery_cents=cents,
    package_cents=cents,
    km_cents=cents,
    minimum_cents=cents,
    wait_rate_cents_per_minute=cents,
)


@given(rules, st.floats(0, 50_000), st.integers(1, 12), st.integers(1, 30), cents)
def test_more_work_never_pays_less(rule: PayRule, distance_m: float, deliveries: int, packages: int, tip: int) -> None:
    pay = quote(rule, distance_m=distance_m, deliveries=deliveries, packages=packages, tip_cents=tip)
    more = quote(rule, distance_m=distance_m + 500, deliveries=deliveries + 1, packages=packages + 1, tip_cents=tip)
    assert more.base_cents >= pay.base_cents >= rule.minimum_cents
    assert pay.tip_cents == tip
    assert isinstance(pay.base_cents, int)


@given(st.integers(0, 10_000), st.dictionaries(st.integers(1, 9).map(uid), cents), st.sets(st.integers(1, 9).map(uid)))
def test_the_ledger_adds_up_to_what_was_promised(base: int, tips: dict, delivered: set) -> None:
    rows = route_rows(base, tips, delivered)
    assert sum(row.amount_cents for row in rows) == base + sum(tips[each] for each in tips.keys() & delivered)
    assert all(row.amount_cents > 0 for row in rows)
    assert len({(row.kind, row.delivery_id) for row in rows}) == len(rows)


def test_a_quote() -> None:
    rule = PayRule(base_cents=500, delivery_cents=250, package_cents=25, km_cents=60, minimum_cents=700)
    assert quote(rule, distance_m=0, deliveries=1, packages=1, tip_cents=0) == Pay(700, 0, 25)
    assert quote(rule, distance_m=10_000, deliveries=2, packages=3, tip_cents=300) == Pay(1425, 300, 25)


def test_a_route() -> None:
    rows = route_rows(900, {uid(1): 300, uid(2): 200, uid(3): 0}, {uid(1), uid(3)})
    assert rows == [LedgerRow(LedgerKind.BASE, 900), LedgerRow(LedgerKind.TIP, 300, uid(1))]


def test_rules_read_back_and_are_not_negative() -> None:
    assert msgspec.convert(msgspec.to_builtins(PayRule()), PayRule) == PayRule()
    with pytest.raises(ValueError, match="negative"):
        PayRule(km_cents=-1)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"km_cents": -1}, PayRule)
