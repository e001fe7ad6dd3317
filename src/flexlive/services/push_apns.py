"""Apple's push service over HTTP/2, by aioapns (extra `apns`)."""

from __future__ import annotations

import asyncio
import ssl
from importlib import import_module
from typing import Any, Final

from flexlive.services.wake_push import (
    ATTEMPT_SECONDS_MAX,
    TITLE_KEY,
    Accepted,
    Dead,
    Later,
    Outcome,
    PushKind,
    Refused,
    Ring,
    Target,
    Unknown,
)

_GONE: Final = frozenset({"BadDeviceToken", "Unregistered", "ExpiredToken"})
CONNECTIONS_MAX: Final = 4


class ApnsPush:
    """key: text of the .p8. tls: None trusts the usual authorities. server: (host, port), None Apple's own.

    The library's connections are used one level below its client, which tries again by itself: that would send
    without asking whether the offer still stands, and twice when an answer was lost."""

    kind: PushKind = "apns"

    def __init__(
        self,
        key: str,
        *,
        key_id: str,
        team_id: str,
        topic: str,
        sandbox: bool = False,
        tls: ssl.SSLContext | None = None,
        server: tuple[str, int] | None = None,
    ) -> None:
        self._aioapns = import_module("aioapns")
        self._errors = import_module("aioapns.exceptions")
        self._h2_errors = import_module("h2.exceptions")
        tls = tls or ssl.create_default_context()
        tls.set_alpn_protocols(["h2"])
        client = self._aioapns.APNs(
            key=key,
            key_id=key_id,
            team_id=team_id,
            topic=topic,
            use_sandbox=sandbox,
            ssl_context=tls,
            max_connections=CONNECTIONS_MAX,
        )
        self._pool: Any = client.pool
        if server is not None:
            names = {"APNS_SERVER": server[0], "APNS_PORT": server[1]}
            self._pool.protocol_class = type("Elsewhere", (self._pool.protocol_class,), names)

    async def push(self, target: Target, ring: Ring) -> Outcome:
        request = self._request(target, ring)
        connection: Any = None
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS_MAX):
                connection = await self._pool.acquire()
                answer = await connection.send_notification(request)
        except TimeoutError:
            if connection is None:
                return Later("not reachable")
            # Nobody waits for this answer any more; the library would stumble over it when the connection ends.
            connection.requests.pop(request.notification_id, None)
            self._drop(connection)
            return Unknown("no answer in time")
        except self._errors.ConnectionError:
            return Later("not reachable")
        except self._h2_errors.NoAvailableStreamIDError:
            self._drop(connection)
            return Later("connection used up")
        except self._h2_errors.ProtocolError:
            # Raised before the request has left: the connection is ending, or its window is full.
            return Later("connection busy")
        except self._errors.ConnectionClosed:
            return Unknown("connection lost")
        return _outcome(answer.status, answer.description or "")

    async def close(self) -> None:
        self._pool.close()

    def _request(self, target: Target, ring: Ring) -> Any:
        aps = {"alert": {"loc-key": TITLE_KEY}, "sound": "default", "mutable-content": 1}
        return self._aioapns.NotificationRequest(
            device_token=target.address,
            message={"aps": aps, **ring.data},
            time_to_live=ring.ttl_seconds,
            priority=10,
            push_type=self._aioapns.PushType.ALERT,
            # Should it arrive twice after all, the phone shows it once.
            collapse_key=str(ring.offer_id),
        )

    def _drop(self, connection: Any) -> None:
        """Out of the pool at once: closing takes a while, and the next push must not get this one."""
        connection.on_connection_lost = None
        if connection in self._pool.connections:
            self._pool.discard_connection(connection)
        connection.close()


def _outcome(status: str, reason: str) -> Outcome:
    if status == "200":
        return Accepted()
    if status == "410" or reason in _GONE:
        return Dead(reason)
    if status == "429" or status.startswith("5"):
        return Later(reason or status)
    return Refused(reason or status)
