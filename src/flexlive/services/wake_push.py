"""Ringing a sleeping phone: what is sent, what may come of it, and who carries it.

A push carries an offer's id and its expiry, nothing else: it passes through others' hands. The phone opens its socket
and learns the rest there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, Protocol, TypeAlias
from uuid import UUID

import structlog

PushKind = Literal["log", "fcm", "apns", "web_push"]

ATTEMPT_SECONDS_MAX: Final = 5.0
"""How long one request to a push service may take, connecting included."""
TITLE_KEY: Final = "offer_waiting"
"""Name of the text, in the app's own resources, that a phone shows which shows pushes by itself."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ring:
    """seconds_left: how long the offer still stands."""

    offer_id: UUID
    valid_until: datetime
    seconds_left: float

    @property
    def data(self) -> dict[str, str]:
        """All that a push says."""
        until = self.valid_until.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
        return {"offer_id": str(self.offer_id), "valid_until": f"{until}Z"}

    @property
    def ttl_seconds(self) -> int:
        """How long a push service may keep it for a phone that is out of reach; never past the offer's end."""
        return max(0, int(self.seconds_left))


@dataclass(frozen=True, slots=True)
class Target:
    """A phone as its push service knows it. keys: p256dh and auth of a Web Push subscription."""

    address: str
    keys: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The push service has taken it over."""


@dataclass(frozen=True, slots=True)
class Dead:
    """The phone is gone: the app was removed, or the address is none."""

    reason: str


@dataclass(frozen=True, slots=True)
class Later:
    """It was certainly not taken over, and may be another time. after_seconds: the least the service asks for."""

    reason: str
    after_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Refused:
    """Never, as things stand: credentials, or something the service does not like about what we send."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The connection broke after the request left: the phone may ring. Not asked again, or it might ring twice."""

    reason: str


Outcome: TypeAlias = Accepted | Dead | Later | Refused | Unknown


class PushProvider(Protocol):
    """Carries rings to one kind of target. Used from one event loop, many at once."""

    @property
    def kind(self) -> PushKind: ...

    async def push(self, target: Target, ring: Ring) -> Outcome:
        """One attempt within ATTEMPT_SECONDS_MAX. Expected failures are outcomes. Logs no address."""
        ...

    async def close(self) -> None:
        """Nothing is pushed any more."""
        ...


class LogPush:
    """A line in the server's log instead of a push: for development, and as long as no push service is set up."""

    kind: PushKind = "log"

    async def push(self, target: Target, ring: Ring) -> Outcome:  # noqa: ARG002 – addresses are not logged
        _log.info("wake_up", **ring.data)
        return Accepted()

    async def close(self) -> None:
        pass


def retry_after_seconds(header: str | None, now: datetime) -> float:
    """The Retry-After of an answer: seconds or an HTTP date; 0 when there is none, or nonsense."""
    if header is None:
        return 0.0
    text = header.strip()
    if text.isdecimal():
        return float(text[:6])
    from email.utils import parsedate_to_datetime

    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return 0.0
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds())
