"""Codes travel by the setting's way, and leave no trace in the log."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest
from structlog.testing import capture_logs

from flexlive.services.code_sender import ConsoleSender, GatewaySender, NoSender, code_sender
from flexlive.settings import Settings, SettingsError, load

SENT = ("springfield", "+12175550123", "493027")
URL = "https://sms.example/send?key=hidden"


def gateway(answer: Callable[[httpx.Request], httpx.Response]) -> tuple[GatewaySender, list[httpx.Request]]:
    asked: list[httpx.Request] = []

    def receive(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return answer(request)

    return GatewaySender(URL, httpx.MockTransport(receive)), asked


async def test_a_gateway_gets_the_code_once_it_answers() -> None:
    statuses = iter([503, 202])
    sender, asked = gateway(lambda _: httpx.Response(next(statuses)))
    with capture_logs() as logs:
        await sender.send(*SENT)
        await sender.close()
    assert [json.loads(request.content) for request in asked] == [
        {"market_id": "springfield", "phone": "+12175550123", "code": "493027"}
    ] * 2
    assert logs == []


def _cut(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("no route to sms.example", request=request)


@pytest.mark.parametrize(
    ("answer", "tries", "reason"),
    [
        (lambda _: httpx.Response(500), 3, "HTTP 500"),
        (lambda _: httpx.Response(401), 1, "HTTP 401"),
        (_cut, 3, "ConnectError"),
    ],
)
async def test_a_gateway_that_fails_is_told_without_code_phone_or_key(
    answer: Callable[[httpx.Request], httpx.Response], tries: int, reason: str
) -> None:
    sender, asked = gateway(answer)
    with capture_logs() as logs:
        await sender.send(*SENT)
    assert len(asked) == tries
    [line] = logs
    assert line["reason"] == reason
    assert not [secret for secret in (*SENT[1:], "hidden", "sms.example") if secret in str(line)]


async def test_the_console_shows_the_code_and_the_end_of_the_number() -> None:
    written: list[str] = []
    await ConsoleSender(written.append).send(*SENT)
    assert written == ["login code 493027 for ••••••••••23 in springfield\n"]


def test_settings_choose() -> None:
    assert isinstance(code_sender(Settings().code_sender), ConsoleSender)
    assert isinstance(code_sender("none"), NoSender)
    assert load({"FLEXLIVE_CODE_SENDER": URL}).code_sender == URL
    for wrong in ("", "sms", "ftp://x", "https://", "console\n"):
        with pytest.raises(SettingsError):
            load({"FLEXLIVE_CODE_SENDER": wrong})
