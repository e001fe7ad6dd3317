"""Keys, a phone and a ring for the push providers, and an answer of Google's."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from flexlive.services.wake_push import Ring, Target
from tests.support.push_services import Answer, PushServices

OFFER = UUID("01a1f8e5-bae1-73a7-a784-0932487102d2")
DATA = {"offer_id": str(OFFER), "valid_until": "2026-11-20T12:21:00.000Z"}
RING = Ring(OFFER, datetime(2026, 11, 20, 12, 21, tzinfo=UTC), 90.7)
PHONE = Target("installation-id")
SIGNING = ec.generate_private_key(ec.SECP256R1())
BROWSER = ec.generate_private_key(ec.SECP256R1())
AUTH = b"0123456789abcdef"


def pem(key: Any) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def browser_keys() -> dict[str, str]:
    """Of a browser's subscription."""
    form = serialization.PublicFormat.UncompressedPoint
    return {"p256dh": b64(BROWSER.public_key().public_bytes(serialization.Encoding.X962, form)), "auth": b64(AUTH)}


def subscription(services: PushServices, **changes: str) -> Target:
    return Target(f"{services.url}/push/browser", {**browser_keys(), **changes})


def fcm_error(status: int, word: str, code: str | None = None, *headers: tuple[str, str]) -> Answer:
    details = [{"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code}] if code else []
    error = {"code": status, "status": word, "message": word.lower(), "details": details}
    return Answer(status, {"error": error}, headers)
