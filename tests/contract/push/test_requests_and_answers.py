"""The push libraries against stand-ins of their services: what is sent, and what each answer is taken for."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import http_ece
import jwt
import pytest

from flexlive.services.push_apns import ApnsPush
from flexlive.services.push_fcm import FcmPush
from flexlive.services.push_web import WebPush
from flexlive.services.wake_push import Accepted, Dead, Later, Refused, Target
from tests.support.push_keys import AUTH, BROWSER, DATA, OFFER, PHONE, RING, SIGNING, fcm_error, subscription
from tests.support.push_services import Answer, PushServices

# What is sent


async def test_apns_gets_the_offer_and_its_expiry_and_nothing_else_of_ours(
    apns: ApnsPush, services: PushServices
) -> None:
    before = int(datetime.now(UTC).timestamp())
    assert await apns.push(Target("a1b2"), RING) == Accepted()
    [request] = services.requests
    assert (request.path, request.http_version) == ("/3/device/a1b2", "2")
    body = request.json
    # What the phone shows is a name in the app's own resources.
    assert body.pop("aps") == {"alert": {"loc-key": "offer_waiting"}, "sound": "default", "mutable-content": 1}
    assert body == DATA
    headers = request.headers
    assert headers["apns-topic"] == "org.example.driver"
    assert (headers["apns-push-type"], headers["apns-priority"]) == ("alert", "10")
    assert headers["apns-collapse-id"] == str(OFFER)
    assert 0 <= int(headers["apns-expiration"]) - before - 90 <= 2
    claims = jwt.decode(headers["authorization"].removeprefix("bearer "), SIGNING.public_key(), algorithms=["ES256"])
    assert claims["iss"] == "TEAM"


async def test_fcm_gets_the_offer_and_its_expiry_and_nothing_else_of_ours(fcm: FcmPush, services: PushServices) -> None:
    issued = services.tokens_issued
    assert await asyncio.gather(*(fcm.push(PHONE, RING) for _ in range(5))) == [Accepted()] * 5
    assert services.tokens_issued == issued + 1
    for request in services.requests:
        assert request.path == "/v1/projects/flexlive-test/messages:send"
        assert request.headers["authorization"] == f"Bearer ya29.{services.tokens_issued}"
        # A dry run would reach no phone.
        assert request.json.keys() == {"message"}
        message = request.json["message"]
        assert (message["fid"], message["data"]) == ("installation-id", DATA)
        assert message["android"] == {"priority": "high", "ttl": "90s"}
        assert "notification" not in message
        assert message["apns"]["payload"]["aps"].keys() == {"alert", "sound", "mutable-content"}


@pytest.mark.filterwarnings("ignore:Message.token is deprecated")
async def test_fcm_still_takes_registration_tokens(fcm: FcmPush, services: PushServices) -> None:
    assert await fcm.push(Target("a1b2:APA91b"), RING) == Accepted()
    assert services.requests[0].json["message"]["token"] == "a1b2:APA91b"


async def test_a_browser_gets_the_offer_and_its_expiry_encrypted(web: WebPush, services: PushServices) -> None:
    assert await web.push(subscription(services), RING) == Accepted()
    [request] = services.requests
    assert (request.path, request.headers["ttl"], request.headers["urgency"]) == ("/push/browser", "90", "high")
    assert str(OFFER).encode() not in request.body
    told = http_ece.decrypt(request.body, private_key=BROWSER, auth_secret=AUTH)
    assert json.loads(told) == DATA
    scheme, _, parameters = request.headers["authorization"].partition(" ")
    fields = dict(part.strip().split("=", 1) for part in parameters.split(","))
    assert (scheme.lower(), fields["k"]) == ("vapid", web.public_key)
    claims = jwt.decode(fields["t"], SIGNING.public_key(), algorithms=["ES256"], audience=services.url)
    assert claims["sub"] == "mailto:ops@example.org"


# What an answer is taken for


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (410, "Unregistered", Dead("Unregistered")),
        (400, "BadDeviceToken", Dead("BadDeviceToken")),
        # The topic or the key is wrong for everybody: no reason to forget all phones.
        (400, "DeviceTokenNotForTopic", Refused("DeviceTokenNotForTopic")),
        (403, "InvalidProviderToken", Refused("InvalidProviderToken")),
        (429, "TooManyRequests", Later("TooManyRequests")),
        (503, "ServiceUnavailable", Later("ServiceUnavailable")),
    ],
)
async def test_answers_of_apns(
    apns: ApnsPush, services: PushServices, status: int, reason: str, expected: object
) -> None:
    services.answers.append(Answer(status, {"reason": reason}))
    assert await apns.push(Target("a1b2"), RING) == expected
    assert await apns.push(Target("a1b2"), RING) == Accepted()
    assert len(services.requests) == 2


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (fcm_error(404, "NOT_FOUND", "UNREGISTERED"), Dead),
        (fcm_error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"), Dead),
        (fcm_error(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"), Dead),
        (fcm_error(403, "PERMISSION_DENIED"), Refused),
        (fcm_error(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", ("retry-after", "7")), Later),
        # One request each: the library's own retries would not ask whether the offer still stands.
        (fcm_error(503, "UNAVAILABLE", "UNAVAILABLE", ("retry-after", "7")), Later),
        (fcm_error(500, "INTERNAL", "INTERNAL", ("retry-after", "7")), Later),
    ],
)
async def test_answers_of_fcm(fcm: FcmPush, services: PushServices, answer: Answer, expected: type) -> None:
    services.answers.append(answer)
    outcome = await fcm.push(PHONE, RING)
    assert isinstance(outcome, expected)
    if isinstance(outcome, Later):
        assert outcome.after_seconds == 7
    assert len(services.requests) == 1


async def test_without_an_access_token_nothing_is_sent(fcm: FcmPush, services: PushServices) -> None:
    services.token_answers.append(Answer(400, {"error": "invalid_grant"}))
    assert await fcm.push(PHONE, RING) == Refused("no access token")
    assert services.requests == []


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(410), Dead("HTTP 410")),
        (Answer(404), Dead("HTTP 404")),
        (Answer(403), Refused("HTTP 403")),
        (Answer(413), Refused("HTTP 413")),
        (Answer(429, None, (("retry-after", "7"),)), Later("HTTP 429", 7.0)),
        (Answer(500), Later("HTTP 500")),
    ],
)
async def test_answers_of_a_browsers_service(
    web: WebPush, services: PushServices, answer: Answer, expected: object
) -> None:
    services.answers.append(answer)
    assert await web.push(subscription(services), RING) == expected
    assert len(services.requests) == 1
