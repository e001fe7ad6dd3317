"""Orders as merchants send them: read strictly, and the same order is the same however it is written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.protocol.json_body import decode
from flexlive.protocol.merchant import CreateDelivery, canonical_sha256

ORDER: dict[str, Any] = {
    "external_delivery_id": "o-1",
    "external_store_id": "s-1",
    "service_level": "express",
    "dropoff_address": "1 Elm St",
    "dropoff_lat": 36.25,
    "dropoff_lon": -115.0,
    "contact_name": "Ana",
    "packages": [{"size": "small"}],
}
DEFAULTS: dict[str, Any] = {
    "offer_type": "retail_delivery",
    "dropoff_unit": "",
    "tip_cents": 0,
    "currency": None,
    "pickup_ready_at": None,
    "undeliverable_action": "return_to_pickup",
    "dropoff_verification": {},
    "fulfilled_by": None,
}


def sha256(order: dict[str, Any], **dump: Any) -> bytes:
    return canonical_sha256(decode(CreateDelivery, json.dumps(order, **dump).encode()))


@given(
    st.permutations(list({**ORDER, **DEFAULTS}.items())),
    st.sets(st.sampled_from(sorted(DEFAULTS))),
    st.sampled_from([None, 2]),
    st.booleans(),
)
def test_the_same_order_is_the_same_however_it_is_written(
    items: list[tuple[str, Any]], left_out: set[str], indent: int | None, ascii_only: bool
) -> None:
    written = {name: value for name, value in items if name not in left_out}
    written["unknown_field"] = [1]
    assert sha256(written, indent=indent, ensure_ascii=ascii_only) == sha256(ORDER)


def test_one_instant_in_two_zones_is_one_instant() -> None:
    east = {**ORDER, "pickup_ready_at": "2026-11-20T15:00:00-05:00"}
    assert sha256(east) == sha256({**ORDER, "pickup_ready_at": "2026-11-20T20:00:00Z"})
    assert sha256(east) != sha256({**ORDER, "pickup_ready_at": "2026-11-20T20:00:01Z"})


@pytest.mark.parametrize(
    "change",
    [
        {"external_delivery_id": "o-2"},
        {"tip_cents": 1},
        {"dropoff_lat": 36.250001},
        {"packages": [{"size": "small"}, {"size": "small"}]},
        {"packages": [{"size": "small", "must_be_upright": True}]},
        {"dropoff_verification": {"pincode": True}},
    ],
)
def test_another_order_is_another(change: dict[str, Any]) -> None:
    assert sha256({**ORDER, **change}) != sha256(ORDER)


def refused(body: bytes) -> str:
    with pytest.raises(FlexliveError) as caught:
        decode(CreateDelivery, body)
    assert caught.value.code is ErrorCode.INVALID
    return caught.value.detail


@pytest.mark.parametrize(
    "change",
    [
        {"dropoff_lat": float("nan")},
        {"dropoff_lat": float("inf")},
        {"dropoff_lat": 90.1},
        {"dropoff_lon": -180.1},
        {"dropoff_lat": "36"},
        {"dropoff_lat": True},
        {"tip_cents": -1},
        {"tip_cents": 2**63},
        {"tip_cents": 2**80},
        {"tip_cents": 1.5},
        {"packages": []},
        {"packages": [{}] * 51},
        {"packages": [{"size": "huge"}]},
        {"packages": [{"barcode": "a b"}]},
        {"external_delivery_id": ""},
        {"external_delivery_id": "x" * 129},
        {"external_delivery_id": "a\u0000b"},
        {"external_delivery_id": "\ud800"},
        {"contact_name": "Ana\n"},
        {"dropoff_instructions": "\u0000"},
        {"pickup_ready_at": "2026-11-20T20:00:00"},
        {"pickup_ready_at": 1_700_000_000},
        {"dropoff_verification": {"pincode": "123"}},
        {"dropoff_verification": {"pincode": "12345a"}},
        {"dropoff_verification": {"min_age": 0}},
        {"currency": "usd"},
        {"service_level": "tomorrow"},
    ],
)
def test_what_is_out_of_bounds_is_refused(change: dict[str, Any]) -> None:
    assert refused(json.dumps({**ORDER, **change}).encode())


@pytest.mark.parametrize("name", sorted(ORDER))
def test_nothing_required_may_be_missing(name: str) -> None:
    without = {key: value for key, value in ORDER.items() if key != name}
    assert name in refused(json.dumps(without).encode())


def test_a_key_given_twice_is_a_mistake_wherever_it_stands() -> None:
    text = json.dumps(ORDER)
    assert "twice" in refused(('{"tip_cents":1,' + text[1:-1] + ', "tip_cents":1}').encode())
    assert "twice" in refused(text.replace('{"size": "small"}', '{"size":"small","size":"large"}').encode())
    assert "twice" in refused(('{"unknown":{"a":1,"a":2},' + text[1:]).encode())


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 20_000 + b"1" + b"}" * 20_000, b"{}{}", b"NaN"],
)
def test_junk_is_refused(body: bytes) -> None:
    assert refused(body)


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(body: bytes) -> None:
    assert refused(body)


def test_a_refusal_repeats_nothing_of_the_request() -> None:
    assert "hunter2" not in refused(json.dumps({**ORDER, "service_level": "hunter2"}).encode())
    assert "hunter2" not in refused(json.dumps({**ORDER, "tip_cents": "hunter2"}).encode())
