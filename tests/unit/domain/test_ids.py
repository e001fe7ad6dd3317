from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexlive.domain.ids import (
    DEPLOYMENT,
    TokenKind,
    TokenParts,
    format_token,
    is_market_id,
    parse_id,
    parse_token,
    token_sha256,
)

SECRET = "A-_" + "x" * 40
market_ids = st.from_regex(r"\A[a-z0-9]{1,12}(-[a-z0-9]{1,12}){0,2}\Z").filter(is_market_id)
secrets = st.text("ABCXYZabcxyz0189-_", min_size=43, max_size=43)


@given(st.sampled_from([kind for kind in TokenKind if kind is not TokenKind.MERCHANT]), market_ids, secrets)
def test_a_token_reads_back_as_it_was_written(kind: TokenKind, market_id: str, secret: str) -> None:
    assert parse_token(format_token(kind, market_id, secret)) == TokenParts(kind, market_id, secret)


@given(st.text() | st.from_regex(r"fl_(driver|ops|x)_[a-z-]*_[A-Za-z_-]*"))
def test_whatever_parses_is_written_the_same_way(text: str) -> None:
    parts = parse_token(text)
    assert parts is None or format_token(parts.kind, parts.market_id, parts.secret) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "fl_driver_las-vegas_" + "x" * 42,
        "fl_driver_las-vegas_" + "x" * 44,
        f"fl_driver_las_vegas_{SECRET}",
        f"fl_driver_Las-Vegas_{SECRET}",
        f"fl_driver_-vegas_{SECRET}",
        f"fl_king_las-vegas_{SECRET}",
        f"fl_driver_{DEPLOYMENT}_{SECRET}",
        f"fl_merchant_las-vegas_{SECRET}",
        f"fl_driver_las-vegas_{SECRET}\n",
        f"fl_driver_{'x' * 41}_{SECRET}",
        "fl_driver_las-vegas_" + "é" * 43,
        "fl_driver_las-vegas_" + "x" * 100_000,
    ],
)
def test_a_malformed_token_is_no_token(text: str) -> None:
    assert parse_token(text) is None


def test_deployment_wide_tokens() -> None:
    for kind in (TokenKind.OPS, TokenKind.MERCHANT):
        assert parse_token(format_token(kind, DEPLOYMENT, SECRET)) == TokenParts(kind, DEPLOYMENT, SECRET)


def test_only_what_parses_can_be_written() -> None:
    with pytest.raises(ValueError, match="driver"):
        format_token(TokenKind.DRIVER, DEPLOYMENT, SECRET)
    with pytest.raises(ValueError, match="track"):
        format_token(TokenKind.TRACK, "tysons", "short")


def test_the_hash_covers_the_whole_token() -> None:
    text = format_token(TokenKind.DRIVER, "tysons", SECRET)
    assert token_sha256(text) == hashlib.sha256(text.encode()).digest()
    assert token_sha256("\ud800") != token_sha256(text)


@given(st.uuids())
def test_ids_have_one_spelling(value: object) -> None:
    assert parse_id(str(value)) == value
    assert parse_id(f"{{{value}}}") is None
    assert parse_id(str(value).replace("-", "")) is None
    assert parse_id(f"urn:uuid:{value}") is None


@pytest.mark.parametrize(
    ("text", "valid"),
    [("las-vegas", True), ("x" * 40, True), ("x" * 41, False), (DEPLOYMENT, False), ("a--b", False), ("", False)],
)
def test_market_ids(text: str, valid: bool) -> None:
    assert is_market_id(text) is valid
