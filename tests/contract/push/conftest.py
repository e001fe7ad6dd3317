"""Each provider against the stand-ins of its service."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from firebase_admin import messaging

from flexlive.services.push_apns import ApnsPush
from flexlive.services.push_fcm import FcmPush
from flexlive.services.push_web import WebPush
from tests.support.push_keys import SIGNING, pem
from tests.support.push_services import PushServices, push_services


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[PushServices]:
    async with push_services(tmp_path) as running:
        yield running


@pytest.fixture
async def apns(services: PushServices) -> AsyncIterator[ApnsPush]:
    key = pem(SIGNING).decode()
    provider = ApnsPush(
        key, key_id="KEY", team_id="TEAM", topic="org.example.driver", tls=services.tls,
        server=("localhost", services.port),
    )  # fmt: skip
    yield provider
    await provider.close()


@pytest.fixture
async def fcm(services: PushServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FcmPush]:
    account = {
        "type": "service_account",
        "project_id": "flexlive-test",
        "private_key_id": "1",
        "private_key": pem(rsa.generate_private_key(65537, 2048)).decode(),
        "client_email": "push@flexlive-test.example",
        "token_uri": f"{services.url}/token",
    }
    credentials = tmp_path / "account.json"
    credentials.write_text(json.dumps(account))
    # The library has no setting for another address than Google's.
    monkeypatch.setattr(messaging._MessagingService, "FCM_URL", services.url + "/v1/projects/{0}/messages:send")
    for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(variable, str(services.authority))
    provider = FcmPush(credentials)
    yield provider
    await provider.close()


@pytest.fixture
async def web(services: PushServices) -> AsyncIterator[WebPush]:
    provider = WebPush(pem(SIGNING), contact="mailto:ops@example.org", hosts=("localhost",), tls=services.tls)
    yield provider
    await provider.close()
