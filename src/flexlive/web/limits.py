"""How much HTTP one client may ask for. Sockets have limits of their own."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from litestar import Request
from litestar.middleware import DefineMiddleware
from litestar.middleware.rate_limit import RateLimitConfig, get_remote_address

UNLIMITED_PATHS: Final = ("^/livez$", "^/readyz$", "^/metrics$", "^/static/")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """requests_per_minute_max: of one token, or of one address without a token; 0 switches the limit off.

    streams_per_link_max: open tracking streams of one link in this process.
    """

    requests_per_minute_max: int = 1200
    streams_per_link_max: int = 10
    stream_facts_queued_max: int = 64
    stream_heartbeat_seconds: float = 15.0
    stream_recheck_seconds: float = 300.0


def client_key(request: Request[Any, Any, Any]) -> str:
    """Whom a request counts for: its token, of which only a hash is kept, else its address."""
    authorization = request.headers.get("authorization")
    if authorization:
        return sha256(authorization.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return get_remote_address(request)


def rate_limit(options: HttpOptions) -> list[DefineMiddleware]:
    """Litestar's limiter, or nothing when it is switched off."""
    if options.requests_per_minute_max <= 0:
        return []
    config = RateLimitConfig(
        rate_limit=("minute", options.requests_per_minute_max),
        exclude=list(UNLIMITED_PATHS),
        identifier_for_request=client_key,
    )
    return [config.middleware]
