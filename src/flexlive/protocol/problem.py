"""The one shape of every HTTP error (RFC 9457)."""

from __future__ import annotations

from msgspec import Struct

MEDIA_TYPE = "application/problem+json"


class Problem(Struct, frozen=True, kw_only=True):
    """code is stable and machine-readable; title and detail are for people. Some codes add members of their own."""

    type: str
    title: str
    status: int
    detail: str
    code: str
