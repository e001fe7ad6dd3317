"""Stable codes, and the one table that maps each to an HTTP status, a result code and a close code."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, NamedTuple


class ErrorCode(StrEnum):
    INVALID = "invalid"
    UNAUTHORIZED = "unauthorized"
    TOKEN_EXPIRED = "token_expired"  # noqa: S105 – a code, not a secret
    FORBIDDEN = "forbidden"
    DEACTIVATED = "deactivated"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    CONFLICT = "conflict"
    RATE_LIMITED = "rate_limited"
    TOO_LARGE = "too_large"
    UNSUPPORTED = "unsupported"
    MARKET_UNKNOWN = "market_unknown"
    STORE_UNKNOWN = "store_unknown"
    NOT_PARTICIPATING = "not_participating"
    MERCHANT_CLOSED = "merchant_closed"
    CUTOFF_PASSED = "cutoff_passed"
    OUTSIDE_HOURS = "outside_hours"
    PICKUP_WINDOW_INVALID = "pickup_window_invalid"
    NOT_ELIGIBLE = "not_eligible"
    SLOTS_FULL = "slots_full"
    TAKEN = "taken"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    OUT_OF_RANGE = "out_of_range"
    WRONG_CODE = "wrong_code"
    WRONG_PACKAGE = "wrong_package"
    PROOF_MISSING = "proof_missing"
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    ILLEGAL_TRANSITION = "illegal_transition"
    OUTCOME_UNKNOWN = "outcome_unknown"
    DATABASE_UNAVAILABLE = "database_unavailable"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"


class Entry(NamedTuple):
    """How a code is told. result_code: in the `result` frame of a command, one of RESULT_CODES, or None when the
    code never answers a command. close_code: what the socket closes with when the code ends it."""

    http_status: int
    title: str
    result_code: str | None = None
    close_code: int | None = None


RESULT_CODES: Final = frozenset(
    {
        "ok", "won", "entered", "lost", "taken", "expired", "withdrawn", "conflict", "not_eligible", "not_found",
        "out_of_range", "wrong_package", "wrong_code", "illegal_transition", "rate_limited", "invalid",
    }
)  # fmt: skip
"""Every code a `result` frame may carry (protocol.md)."""

_E = ErrorCode
CATALOGUE: Final[Mapping[ErrorCode, Entry]] = MappingProxyType(
    {
        _E.INVALID: Entry(400, "The request is not valid", "invalid", 4501),
        _E.UNAUTHORIZED: Entry(401, "No valid credentials", None, 4503),
        _E.TOKEN_EXPIRED: Entry(401, "The token has expired", None, 4401),
        _E.FORBIDDEN: Entry(403, "These credentials do not allow this", "not_eligible", 4503),
        _E.DEACTIVATED: Entry(403, "The account is deactivated", "not_eligible", 4530),
        _E.NOT_FOUND: Entry(404, "Not found", "not_found"),
        _E.METHOD_NOT_ALLOWED: Entry(405, "This address does not answer that method"),
        _E.CONFLICT: Entry(409, "It contradicts an earlier request", "conflict"),
        _E.RATE_LIMITED: Entry(429, "Too many requests", "rate_limited", 4029),
        _E.TOO_LARGE: Entry(413, "The body is too large", "invalid", 4501),
        _E.UNSUPPORTED: Entry(415, "The content type is not supported", "invalid", 4500),
        _E.MARKET_UNKNOWN: Entry(404, "No such market", "not_found"),
        _E.STORE_UNKNOWN: Entry(404, "No such store of this merchant", "not_found"),
        _E.NOT_PARTICIPATING: Entry(422, "The store does not take part in this offer type", "not_eligible"),
        _E.MERCHANT_CLOSED: Entry(422, "The store is closed", "invalid"),
        _E.CUTOFF_PASSED: Entry(422, "Today's cut-off has passed", "invalid"),
        _E.OUTSIDE_HOURS: Entry(422, "The service level does not run then", "invalid"),
        _E.PICKUP_WINDOW_INVALID: Entry(422, "The pickup or delivery window is not possible", "invalid"),
        _E.NOT_ELIGIBLE: Entry(403, "Not eligible", "not_eligible"),
        _E.SLOTS_FULL: Entry(409, "No free slot for another route", "not_eligible"),
        _E.TAKEN: Entry(409, "Another driver has it", "taken"),
        _E.EXPIRED: Entry(410, "The offer has expired", "expired"),
        _E.WITHDRAWN: Entry(410, "The offer was withdrawn", "withdrawn"),
        _E.OUT_OF_RANGE: Entry(409, "Too far from the stop", "out_of_range"),
        _E.WRONG_CODE: Entry(409, "The code is not right", "wrong_code"),
        _E.WRONG_PACKAGE: Entry(409, "Not a package of this stop", "wrong_package"),
        _E.PROOF_MISSING: Entry(409, "A required proof is missing", "illegal_transition"),
        _E.ATTEMPTS_EXHAUSTED: Entry(409, "No attempts left", "wrong_code"),
        _E.ILLEGAL_TRANSITION: Entry(409, "Not possible from the present status", "illegal_transition"),
        _E.OUTCOME_UNKNOWN: Entry(503, "Whether it happened is not known; ask again", None, 4000),
        _E.DATABASE_UNAVAILABLE: Entry(503, "The database is not reachable", None, 4000),
        _E.UNAVAILABLE: Entry(503, "Not available at the moment", None, 4001),
        _E.INTERNAL: Entry(500, "Internal error", None, 4000),
    }
)


class FlexliveError(Exception):
    """A refusal with a stable code. detail is for people; fields are what the answer carries besides."""

    def __init__(self, code: ErrorCode, detail: str = "", **fields: Any) -> None:
        super().__init__(detail or CATALOGUE[code].title)
        self.code = code
        self.detail = detail
        self.fields: Mapping[str, Any] = fields

    @property
    def entry(self) -> Entry:
        return CATALOGUE[self.code]
