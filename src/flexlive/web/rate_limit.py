"""So many requests a minute from one client. A window of counters, thrown away whole each minute: nothing to sweep,
and no stream of made-up tokens or addresses makes it grow for longer than that."""

from __future__ import annotations

import time
from collections.abc import Callable
from hashlib import sha256
from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import Any, Final

from litestar import Request
from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.exceptions import TooManyRequestsException
from litestar.middleware import ASGIMiddleware
from litestar.middleware.rate_limit import get_remote_address
from litestar.types import ASGIApp, Message, Receive, Scope, Send

WINDOW_SECONDS: Final = 60.0
CLIENTS_MAX: Final = 100_000
"""Counters of one window; beyond it the oldest is dropped."""
TOKENS_MAX: Final = 50_000
"""Tokens remembered as good; beyond it the oldest is asked to prove itself again."""
IPV6_NETWORK_BITS: Final = 64
"""What one subscriber gets: all of it is one client."""

_GOOD_TOKEN: Final = "flexlive_good_token"  # noqa: S105 – a key of the scope, not a secret
UNLIMITED_PATHS: Final = ("^/livez$", "^/readyz$", "^/metrics$", "^/static/")


def token_was_good(scope: Scope) -> None:
    """To be called by whoever has verified this request's token: from now on it counts for itself."""
    scope["state"][_GOOD_TOKEN] = True


class RateLimit:
    """The counters of one process. clock: monotonic seconds."""

    def __init__(self, requests_per_minute_max: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.requests_per_minute_max = requests_per_minute_max
        self._clock = clock
        self._ends_at = 0.0
        self._counts: dict[str, int] = {}
        self._good_tokens: dict[str, None] = {}

    def count(self, key: str) -> tuple[int, int]:
        """(requests left after this one, seconds until they are given back); -1 left: this one is too many."""
        now = self._clock()
        if now >= self._ends_at:
            self._counts = {}
            self._ends_at = now + WINDOW_SECONDS
        used = self._counts.get(key, 0)
        seconds = max(1, ceil(self._ends_at - now))
        if used >= self.requests_per_minute_max:
            return -1, seconds
        if key not in self._counts and len(self._counts) >= CLIENTS_MAX:
            del self._counts[next(iter(self._counts))]
        self._counts[key] = used + 1
        return self.requests_per_minute_max - used - 1, seconds

    def client_key(self, request: Request[Any, Any, Any]) -> tuple[str, str | None]:
        """(whom the request counts for, hash of its token if there is one). Only a token that was good before is
        its own client: with a made-up one, a new client could be had for every request."""
        authorization = request.headers.get("authorization")
        token = None
        if authorization:
            token = sha256(authorization.encode("utf-8", "surrogatepass")).hexdigest()[:32]
            if token in self._good_tokens:
                return token, token
        return network_of(get_remote_address(request)), token

    def good(self, token: str) -> None:
        """The token has been verified."""
        if token not in self._good_tokens:
            if len(self._good_tokens) >= TOKENS_MAX:
                del self._good_tokens[next(iter(self._good_tokens))]
            self._good_tokens[token] = None


class _Middleware(ASGIMiddleware):
    scopes = (ScopeType.HTTP,)
    exclude_path_pattern = UNLIMITED_PATHS

    def __init__(self, limit: RateLimit) -> None:
        self._limit = limit

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        key, token = self._limit.client_key(Request(scope))
        left, seconds = self._limit.count(key)
        allowed = str(self._limit.requests_per_minute_max)
        headers = {
            "ratelimit-policy": f"{allowed}; w={WINDOW_SECONDS:.0f}",
            "ratelimit-limit": allowed,
            "ratelimit-remaining": str(max(0, left)),
            "ratelimit-reset": str(seconds),
        }
        if left < 0:
            raise TooManyRequestsException(headers=headers)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message.setdefault("headers", [])
                sent = MutableScopeHeaders(message)
                for name, value in headers.items():
                    sent[name] = value
            await send(message)

        await next_app(scope, receive, send_with_headers)
        if token is not None and scope["state"].get(_GOOD_TOKEN):
            self._limit.good(token)


def rate_limit(requests_per_minute_max: int) -> list[ASGIMiddleware]:
    """For the application's `middleware`; nothing when switched off with 0."""
    if requests_per_minute_max <= 0:
        return []
    return [_Middleware(RateLimit(requests_per_minute_max))]


def network_of(address: str) -> str:
    """One subscriber: the address itself, or the IPv6 network it is in."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address) or parsed.ipv4_mapped is not None:
        return address
    return (parsed.packed[: IPV6_NETWORK_BITS // 8]).hex()
