"""How a one-time code reaches its driver: the terminal of whoever runs the server, or an HTTP gateway of theirs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final, Protocol

import httpx
import structlog

GATEWAY_SECONDS_MAX: Final = 5.0
GATEWAY_ATTEMPTS_MAX: Final = 3
PHONE_DIGITS_SHOWN: Final = 2

_log = structlog.get_logger(__name__)


class CodeSender(Protocol):
    """Carries one code. Must not log it, nor the phone number."""

    async def send(self, market_id: str, phone: str, code: str) -> None:
        """Returns when the code is on its way, or when it is given up; the driver asks for another then."""
        ...

    async def close(self) -> None:
        """Nothing is sent any more."""
        ...


class ConsoleSender:
    """For development and demonstrations: a line on standard error, never in the log."""

    def __init__(self, write: Callable[[str], object] | None = None) -> None:
        self._write = write or sys.stderr.write

    async def send(self, market_id: str, phone: str, code: str) -> None:
        hidden = "•" * (len(phone) - PHONE_DIGITS_SHOWN) + phone[-PHONE_DIGITS_SHOWN:]
        self._write(f"login code {code} for {hidden} in {market_id}\n")

    async def close(self) -> None:
        pass


class NoSender:
    """Codes go nowhere: nobody can log in by phone."""

    async def send(self, market_id: str, phone: str, code: str) -> None:  # noqa: ARG002 – goes nowhere
        _log.warning("login_code_not_sent", market_id=market_id, reason="no sender is set")

    async def close(self) -> None:
        pass


class GatewaySender:
    """POSTs `{"market_id", "phone", "code"}` as JSON to a URL; any 2xx means that the gateway has taken it over.

    transport: for other networks than the real one.
    """

    def __init__(self, url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._url = url
        # Made once and early: making one takes long enough to tell a driver's number by the clock.
        self._http = httpx.AsyncClient(timeout=GATEWAY_SECONDS_MAX, transport=transport)

    async def send(self, market_id: str, phone: str, code: str) -> None:
        body = {"market_id": market_id, "phone": phone, "code": code}
        reason = ""
        for _ in range(GATEWAY_ATTEMPTS_MAX):
            try:
                answer = await self._http.post(self._url, json=body)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                # Its text may hold the URL, and with it the gateway's key.
                reason = type(error).__name__
                continue
            if answer.is_success:
                return
            reason = f"HTTP {answer.status_code}"
            if answer.is_client_error:
                break
        _log.warning("login_code_not_sent", market_id=market_id, reason=reason)

    async def close(self) -> None:
        await self._http.aclose()


def code_sender(setting: str) -> CodeSender:
    """`console`, `none`, or the URL of a gateway."""
    match setting:
        case "console":
            return ConsoleSender()
        case "none":
            return NoSender()
        case _:
            return GatewaySender(setting)
