"""The published reason codes of refusals, incidents and cancellations; additions only."""

from __future__ import annotations

from enum import StrEnum


class ReasonCode(StrEnum):
    MERCHANT_NOT_READY = "merchant_not_ready"
    MERCHANT_CLOSED = "merchant_closed"
    MERCHANT_CANCELLED = "merchant_cancelled"
    ITEM_MISSING = "item_missing"
    ITEM_TOO_LARGE = "item_too_large"
    PACKAGE_DAMAGED = "package_damaged"
    CUSTOMER_UNAVAILABLE = "customer_unavailable"
    CUSTOMER_REFUSED = "customer_refused"
    CUSTOMER_CANCELLED = "customer_cancelled"
    ADDRESS_PROBLEM = "address_problem"
    ACCESS_PROBLEM = "access_problem"
    AGE_NOT_VERIFIED = "age_not_verified"
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    VEHICLE_PROBLEM = "vehicle_problem"
    DRIVER_UNREACHABLE = "driver_unreachable"
    DRIVER_FORFEITED = "driver_forfeited"
    TOO_FAR = "too_far"
    PAY_TOO_LOW = "pay_too_low"
    SAFETY = "safety"
    NO_DRIVER_FOUND = "no_driver_found"
    OPS_DECISION = "ops_decision"
    OTHER = "other"
