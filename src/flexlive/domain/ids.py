"""Identifiers and tokens as text: what is well-formed, and nothing about what exists."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

DEPLOYMENT: Final = "deployment"
"""Stands where a market would in tokens that belong to no market: merchant keys and deployment-wide ops tokens."""

MARKET_ID_CHARS_MAX: Final = 40
SECRET_CHARS: Final = 43
TOKEN_CHARS_MAX: Final = 128

_MARKET = r"[a-z0-9]+(?:-[a-z0-9]+)*"
_MARKET_ID = re.compile(_MARKET)
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
_TOKEN = re.compile(rf"fl_([a-z]+)_({_MARKET})_([A-Za-z0-9_-]{{43}})")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)


class TokenKind(StrEnum):
    DRIVER = "driver"
    REFRESH = "refresh"
    TICKET = "ticket"
    TRACK = "track"
    OPS = "ops"
    MERCHANT = "merchant"


_KINDS: Final = {kind.value: kind for kind in TokenKind}


@dataclass(frozen=True, slots=True)
class TokenParts:
    """kind, the market it belongs to (or DEPLOYMENT), and 256 bit as 43 url-safe characters."""

    kind: TokenKind
    market_id: str
    secret: str


def is_market_id(text: str) -> bool:
    """Whether text may name a market: lowercase words joined by hyphens, ≤ 40 characters, not DEPLOYMENT."""
    return text != DEPLOYMENT and _is_scope(text)


def parse_token(text: str) -> TokenParts | None:
    """The parts of `fl_<kind>_<market>_<secret>`; None for anything else, of any length."""
    if len(text) > TOKEN_CHARS_MAX:
        return None
    match = _TOKEN.fullmatch(text)
    if match is None:
        return None
    name, market_id, secret = match.groups()
    kind = _KINDS.get(name)
    if kind is None or not _fits(kind, market_id):
        return None
    return TokenParts(kind, market_id, secret)


def format_token(kind: TokenKind, market_id: str, secret: str) -> str:
    """The text form; ValueError when parse_token would not take it back."""
    if not _fits(kind, market_id) or _SECRET.fullmatch(secret) is None:
        raise ValueError(f"not a {kind.value} token's market or secret")
    return f"fl_{kind.value}_{market_id}_{secret}"


def token_sha256(text: str) -> bytes:
    """32 bytes, the only form in which a token is stored: SHA-256 of the whole token."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def parse_id(text: str) -> UUID | None:
    """The UUID written in its usual 36 characters; None for every other spelling."""
    return UUID(text) if _UUID.fullmatch(text) else None


def _is_scope(text: str) -> bool:
    return len(text) <= MARKET_ID_CHARS_MAX and _MARKET_ID.fullmatch(text) is not None


def _fits(kind: TokenKind, market_id: str) -> bool:
    if kind is TokenKind.MERCHANT:
        return market_id == DEPLOYMENT
    return _is_scope(market_id) and (kind is TokenKind.OPS or market_id != DEPLOYMENT)
