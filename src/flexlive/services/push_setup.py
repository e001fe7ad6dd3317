"""Which push services this server may use, from its settings; what is missing is said before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import msgspec

from flexlive.services.push_apns import ApnsPush
from flexlive.services.push_fcm import FcmPush
from flexlive.services.push_web import WebPush
from flexlive.services.wake_push import LogPush, PushKind, PushProvider

_APNS_TEXTS: Final = ("apns_key_id", "apns_team_id", "apns_topic")
_LIBRARIES: Final = {
    # Field that asks for it → module, extra.
    "fcm_credentials": ("firebase_admin", "fcm"),
    "apns_key": ("aioapns", "apns"),
    "web_push_key": ("pywebpush", "web-push"),
}
_KEYS: Final = {"EC": ("ec", "EllipticCurvePrivateKey"), "RSA": ("rsa", "RSAPrivateKey")}


class PushSetupError(Exception):
    """A push service cannot be used as it is set up. field: of PushSetup. str() says what to do, in one line."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


@dataclass(frozen=True, slots=True, kw_only=True)
class PushSetup:
    """Each service is used when its first field is set.

    fcm_credentials: JSON of a Google service account. apns_key: a .p8 of Apple's, with its id, the team's id and the
    app's bundle id as topic. web_push_key: PEM of an EC private key on P-256 (VAPID); web_push_contact: `mailto:` or
    `https:`, where push services find us; web_push_hosts: whose subscriptions are taken, subdomains included."""

    fcm_credentials: Path | None = None
    apns_key: Path | None = None
    apns_key_id: str | None = None
    apns_team_id: str | None = None
    apns_topic: str | None = None
    apns_sandbox: bool = False
    web_push_key: Path | None = None
    web_push_contact: str | None = None
    web_push_hosts: tuple[str, ...] = ()


class _ServiceAccount(msgspec.Struct):
    type: str
    project_id: str
    client_email: str
    private_key: str
    token_uri: str


def check(setup: PushSetup) -> None:
    """Whether everything that is asked for is there: libraries, files, companions. Raises PushSetupError."""
    for field, (module, extra) in _LIBRARIES.items():
        if getattr(setup, field) is not None and find_spec(module) is None:
            raise PushSetupError(field, f"the library {module} is not installed: install flexlive[{extra}]")
    if setup.fcm_credentials is not None:
        _check_service_account(setup.fcm_credentials)
    if setup.apns_key is not None:
        _check_key("apns_key", setup.apns_key, _read("apns_key", setup.apns_key), "EC")
        for field in _APNS_TEXTS:
            if not getattr(setup, field):
                raise PushSetupError(field, "is needed beside the APNs key")
    if setup.web_push_key is not None:
        _check_key("web_push_key", setup.web_push_key, _read("web_push_key", setup.web_push_key), "EC")
        if not (setup.web_push_contact or "").startswith(("mailto:", "https:")):
            raise PushSetupError("web_push_contact", "a mailto: or https: URL is needed beside the Web Push key")


def open_providers(setup: PushSetup) -> Mapping[PushKind, PushProvider]:
    """One provider a kind that can be rung from here; the log always. Inside a running event loop, after check."""
    providers: dict[PushKind, PushProvider] = {"log": LogPush()}
    if setup.fcm_credentials is not None:
        providers["fcm"] = FcmPush(setup.fcm_credentials)
    if setup.apns_key is not None:
        providers["apns"] = ApnsPush(
            setup.apns_key.read_text(),
            key_id=setup.apns_key_id or "",
            team_id=setup.apns_team_id or "",
            topic=setup.apns_topic or "",
            sandbox=setup.apns_sandbox,
        )
    if setup.web_push_key is not None:
        providers["web_push"] = WebPush(
            setup.web_push_key.read_bytes(), contact=setup.web_push_contact or "", hosts=setup.web_push_hosts
        )
    return providers


def _read(field: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PushSetupError(field, f"cannot read {path}: {error.strerror}") from None


def _check_key(field: str, path: Path, pem: bytes, kind: str) -> None:
    """kind: of _KEYS."""
    serialization = import_module("cryptography.hazmat.primitives.serialization")
    unsupported = import_module("cryptography.exceptions").UnsupportedAlgorithm
    module, wanted = _KEYS[kind]
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, unsupported):
        key = None
    # Both uses of EC keys sign with ES256.
    if kind == "EC" and getattr(getattr(key, "curve", None), "name", "") != "secp256r1":
        key = None
    if not isinstance(key, getattr(import_module(f"cryptography.hazmat.primitives.asymmetric.{module}"), wanted)):
        raise PushSetupError(field, f"{path} holds no PEM of an {kind} private key")


def _check_service_account(path: Path) -> None:
    try:
        account = msgspec.json.decode(_read("fcm_credentials", path), type=_ServiceAccount)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        account = None
    if account is None or account.type != "service_account":
        raise PushSetupError("fcm_credentials", f"{path} is not the JSON of a service account")
    _check_key("fcm_credentials", path, account.private_key.encode(), "RSA")
