"""Push services that do not answer, break off or are out of reach, and addresses that are none."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from firebase_admin import messaging

from flexlive.services import push_apns, push_fcm, push_web, wake_push
from flexlive.services.push_apns import ApnsPush
from flexlive.services.push_fcm import FcmPush
from flexlive.services.push_web import WebPush
from flexlive.services.wake_push import Accepted, Dead, Later, PushProvider, Ring, Target, Unknown
from tests.support.push_keys import OFFER, PHONE, RING, SIGNING, b64, pem, subscription
from tests.support.push_services import Answer, PushServices

# When the service does not answer


@pytest.fixture(params=["apns", "fcm", "web"])
def any_provider(request: pytest.FixtureRequest) -> PushProvider:
    return request.getfixturevalue(request.param)


def phone_of(provider: PushProvider, services: PushServices) -> Target:
    return subscription(services) if isinstance(provider, WebPush) else Target("a1b2")


@pytest.fixture
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (wake_push, push_apns, push_fcm, push_web):
        monkeypatch.setattr(module, "ATTEMPT_SECONDS_MAX", 1.5)
    monkeypatch.setattr(push_fcm, "REQUEST_SECONDS_MAX", 1.0)


@pytest.mark.usefixtures("_hurried")
async def test_an_answer_that_does_not_come_is_not_asked_for_again(
    any_provider: PushProvider, services: PushServices
) -> None:
    phone = phone_of(any_provider, services)
    assert await any_provider.push(phone, RING) == Accepted()
    services.answers.append(Answer(None))
    assert isinstance(await any_provider.push(phone, RING), Unknown)
    assert len(services.requests) == 2
    # The next one is not held up by it.
    assert await any_provider.push(phone, RING) == Accepted()


async def test_a_connection_that_breaks_under_a_request_leaves_the_outcome_open(
    any_provider: PushProvider, services: PushServices
) -> None:
    phone = phone_of(any_provider, services)
    services.answers.append(Answer(None, hang_up=True))
    assert isinstance(await any_provider.push(phone, RING), Unknown)
    assert len(services.requests) == 1
    assert await any_provider.push(phone, RING) == Accepted()


@pytest.mark.usefixtures("_hurried")
async def test_apns_may_refuse_without_a_word(apns: ApnsPush, services: PushServices) -> None:
    services.answers.append(Answer(500))
    assert await apns.push(Target("a1b2"), RING) == Unknown("no answer in time")
    assert await apns.push(Target("a1b2"), RING) == Accepted()


async def test_a_service_out_of_reach_can_be_asked_later(
    any_provider: PushProvider, services: PushServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = taken.getsockname()[1]
    nowhere = f"https://localhost:{closed}"
    match any_provider:
        case ApnsPush():
            any_provider._pool.protocol_class.APNS_PORT = closed
        case FcmPush():
            url = nowhere + "/v1/projects/{0}/messages:send"
            monkeypatch.setattr(messaging._MessagingService, "FCM_URL", url)
    phone = Target(f"{nowhere}/push", subscription(services).keys) if any_provider.kind == "web_push" else PHONE
    assert await any_provider.push(phone, RING) == Later("not reachable")


async def test_a_certificate_nobody_vouches_for_is_not_trusted(services: PushServices) -> None:
    provider = ApnsPush(
        pem(SIGNING).decode(), key_id="KEY", team_id="TEAM", topic="t", tls=ssl.create_default_context(),
        server=("localhost", services.port),
    )  # fmt: skip
    assert await provider.push(Target("a1b2"), RING) == Later("not reachable")
    await provider.close()
    assert services.requests == []


# Where a driver may send us


async def test_subscriptions_point_to_push_services_only(web: WebPush, services: PushServices) -> None:
    keys = subscription(services).keys
    elsewhere = [
        "http://localhost/push", "https://127.0.0.1/push", "https://localhost.evil.example/push",
        "https://evil-localhost/push", "https://localhost@evil.example/", "https://user@localhost/", "https://[", "",
    ]  # fmt: skip
    for endpoint in elsewhere:
        assert isinstance(await web.push(Target(endpoint, keys), RING), Dead), endpoint
    assert web.takes(Target("https://a.b.localhost/push", keys))
    for name, value in (("p256dh", ""), ("p256dh", b64(b"\x03" * 65)), ("auth", b64(b"short")), ("auth", "°")):
        assert not web.takes(subscription(services, **{name: value}))
    # A point of the right form that is not on the curve.
    assert await web.push(subscription(services, p256dh=b64(b"\x04" + b"\x01" * 64)), RING) == Dead(
        "keys that are none"
    )
    assert services.requests == []


def test_a_push_is_kept_no_longer_than_its_offer_stands() -> None:
    assert [Ring(OFFER, RING.valid_until, left).ttl_seconds for left in (90.7, 0.4, -3.0)] == [90, 0, 0]


def test_retry_after() -> None:
    now = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
    later = (now + timedelta(seconds=30)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert [wake_push.retry_after_seconds(text, now) for text in (None, "12", later, "soon", "-4", "9" * 40)] == [
        0.0, 12.0, 30.0, 0.0, 0.0, 999_999.0,
    ]  # fmt: skip
