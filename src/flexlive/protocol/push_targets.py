"""How a driver's app tells where it can be rung while it sleeps. Fields nobody knows are ignored."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from flexlive.protocol.wire_types import DeviceId

PushKind = Literal["log", "fcm", "apns", "web_push"]
PushAddress = Annotated[str, Meta(min_length=1, max_length=2000, pattern=r"^[!-~]+(?![\s\S])")]
PushKey = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_=-]+(?![\s\S])")]


class WebPushKeys(Struct, frozen=True, kw_only=True):
    """Of a browser's PushSubscription, base64url."""

    p256dh: PushKey
    auth: PushKey


class PutPushTarget(Struct, frozen=True, kw_only=True):
    """device_id: as in `hello`. address: the token of FCM or APNs, or the endpoint of a Web Push subscription, which
    comes with its keys."""

    device_id: DeviceId
    kind: PushKind
    address: PushAddress
    keys: WebPushKeys | None = None


class PushTarget(Struct, frozen=True, kw_only=True):
    """alive: false when the push service says that the phone is gone; register it anew."""

    device_id: str
    kind: str
    registered_at: datetime
    alive: bool


class PushTargets(Struct, frozen=True, kw_only=True):
    """kinds: what this server can ring. web_push_public_key: what a browser subscribes with."""

    targets: tuple[PushTarget, ...]
    kinds: tuple[PushKind, ...]
    web_push_public_key: str | None
