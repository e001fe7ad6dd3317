"""Web Push to browsers (RFC 8030, 8291, 8292), by pywebpush (extra `web-push`)."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from flexlive.services.wake_push import (
    ATTEMPT_SECONDS_MAX,
    Accepted,
    Dead,
    Later,
    Outcome,
    PushKind,
    Refused,
    Ring,
    Target,
    Unknown,
    retry_after_seconds,
)

HOSTS: Final = ("fcm.googleapis.com", "push.services.mozilla.com", "push.apple.com", "notify.windows.com")
"""Push services of the browsers."""
_POINT_BYTES, _AUTH_BYTES = 65, 16


class WebPush:
    """key: PEM of the VAPID private key. contact: `mailto:` or `https:`. hosts: where subscriptions may point, each
    with its subdomains. tls: None trusts the usual authorities."""

    kind: PushKind = "web_push"

    def __init__(
        self, key: bytes, *, contact: str, hosts: Sequence[str] = HOSTS, tls: ssl.SSLContext | None = None
    ) -> None:
        self._library = import_module("pywebpush")
        self._aiohttp = import_module("aiohttp")
        self._vapid: Any = import_module("py_vapid").Vapid02.from_pem(key)
        self._contact = contact
        self._hosts = tuple(hosts)
        self._session: Any = self._aiohttp.ClientSession(
            cookie_jar=self._aiohttp.DummyCookieJar(),
            connector=self._aiohttp.TCPConnector(ssl=tls or ssl.create_default_context()),
            timeout=self._aiohttp.ClientTimeout(total=ATTEMPT_SECONDS_MAX, sock_connect=ATTEMPT_SECONDS_MAX - 1),
        )

    @property
    def public_key(self) -> str:
        """What a browser subscribes with (`applicationServerKey`): base64url without padding."""
        numbers = self._vapid.public_key.public_numbers()
        point = b"\x04" + numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
        return base64.urlsafe_b64encode(point).rstrip(b"=").decode()

    def takes(self, target: Target) -> bool:
        """Whether this is a subscription of a browser's push service, with keys that are some.

        A driver says where we are to POST: nowhere but to the hosts we know."""
        keys = target.keys or {}
        return (
            self._is_known(target.address)
            and len(point := _decoded(keys.get("p256dh", ""))) == _POINT_BYTES
            and point[0] == 4
            and len(_decoded(keys.get("auth", ""))) == _AUTH_BYTES
        )

    async def push(self, target: Target, ring: Ring) -> Outcome:
        if not self.takes(target):
            return Dead("no subscription of a known push service")
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS_MAX):
                await self._library.webpush_async(
                    {"endpoint": target.address, "keys": dict(target.keys or {})},
                    msgspec.json.encode(ring.data).decode(),
                    vapid_private_key=self._vapid,
                    vapid_claims={"sub": self._contact},
                    ttl=ring.ttl_seconds,
                    headers={"Urgency": "high"},
                    aiohttp_session=self._session,
                )
        except self._library.WebPushException as error:
            return _outcome(error)
        except (self._aiohttp.ClientConnectorError, self._aiohttp.ConnectionTimeoutError):
            return Later("not reachable")
        except (self._aiohttp.ClientError, TimeoutError) as error:
            return Unknown(type(error).__name__)
        except ValueError:
            # A point that is not on the curve.
            return Dead("keys that are none")
        return Accepted()

    async def close(self) -> None:
        await self._session.close()

    def _is_known(self, endpoint: str) -> bool:
        try:
            url = urlsplit(endpoint)
            host, named = url.hostname or "", url.username is not None or url.password is not None
        except ValueError:
            return False
        known = any(host == each or host.endswith(f".{each}") for each in self._hosts)
        return url.scheme == "https" and known and not named


def _outcome(error: Any) -> Outcome:
    status: int | None = error.status_code
    if status is None:
        return Dead("keys that are none")
    reason = f"HTTP {status}"
    if status in {404, 410}:
        return Dead(reason)
    if status == 429 or status >= 500:
        return Later(reason, retry_after_seconds(error.retry_after, datetime.now(UTC)))
    return Refused(reason)


def _decoded(text: str) -> bytes:
    """Of base64url, padded or not; empty for anything else."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return b""
