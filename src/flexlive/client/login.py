"""A driver's login as an app keeps it: tokens that renew themselves, and the one attempt that may be repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import httpx
import msgspec

from flexlive.protocol.driver_http import AskForCode, CodeAsked, DriverTokens, LogIn, Refresh

RENEW_SECONDS: Final = 60.0
"""So long before its end an access token is renewed."""
TRIES_MAX: Final = 3
SERVER_ERROR: Final = 500


class LoginRefusedError(Exception):
    """The server said no. code: of the catalogue, such as wrong_code; fields: what it added, such as attempts_left."""

    def __init__(self, code: str, fields: dict[str, Any]) -> None:
        super().__init__(code)
        self.code = code
        self.fields = fields


class Login:
    """What `DriverClient` takes as its token.

    tokens, attempt: keep both on disk; with both a login goes on after a restart in the middle of a refresh.
    changed: called with them whenever one changes, before it is used.
    """

    def __init__(
        self,
        url: str,
        market_id: str,
        *,
        tokens: DriverTokens | None = None,
        attempt: str | None = None,
        changed: Callable[[DriverTokens | None, str | None], None] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.market_id = market_id
        self.tokens = tokens
        self.attempt = attempt
        self._changed = changed
        self._http = httpx.AsyncClient(base_url=url, timeout=10.0, transport=transport)
        self._one_at_a_time = asyncio.Lock()
        self._refused = ""

    async def ask_for_code(self, phone: str) -> CodeAsked:
        """Have a code sent. LoginRefusedError(rate_limited) says in retry_after_seconds how long to wait."""
        body = await self._post("login/code", AskForCode(market_id=self.market_id, phone=phone))
        return msgspec.json.decode(body, type=CodeAsked)

    async def log_in(self, phone: str, code: str) -> DriverTokens:
        """LoginRefusedError: wrong_code, attempts_exhausted, deactivated."""
        body = await self._post("login", LogIn(market_id=self.market_id, phone=phone, code=code))
        return self._keep(msgspec.json.decode(body, type=DriverTokens))

    async def token(self) -> str:
        """An access token that holds for a while. LoginRefusedError(unauthorized): log in anew; OSError: try later."""
        async with self._one_at_a_time:
            if self.tokens is None:
                raise LoginRefusedError("unauthorized", {})
            ends_soon = self.tokens.access_expires_at - datetime.now(UTC) < timedelta(seconds=RENEW_SECONDS)
            if ends_soon or self.tokens.access_token == self._refused:
                await self._refresh(self.tokens)
            return self.tokens.access_token

    def refused(self) -> None:
        """The server says that the access token has expired: phones' clocks are wrong now and then."""
        if self.tokens is not None:
            self._refused = self.tokens.access_token

    async def log_out(self) -> None:
        """The tokens are void when this returns; sockets close by themselves."""
        async with self._one_at_a_time:
            if self.tokens is not None:
                headers = {"authorization": f"Bearer {self.tokens.refresh_token}"}
                try:
                    _checked(await self._http.post("/v1/driver/logout", headers=headers))
                except httpx.TransportError as error:
                    raise ConnectionError(f"logout: {type(error).__name__}") from error
            self._forget()

    async def close(self) -> None:
        """The login itself goes on."""
        await self._http.aclose()

    async def _refresh(self, old: DriverTokens) -> None:
        self.attempt = attempt = self.attempt or uuid4().hex
        self._tell()
        # The attempt makes it safe to ask again what a network or a restarting server has lost.
        ask = Refresh(refresh_token=old.refresh_token, attempt=attempt)
        try:
            self._keep(msgspec.json.decode(await self._post("refresh", ask, TRIES_MAX), type=DriverTokens))
        except LoginRefusedError as error:
            if error.code in ("unauthorized", "token_expired"):
                self._forget()
            raise

    async def _post(self, path: str, body: msgspec.Struct, tries_max: int = 1) -> bytes:
        """OSError when the server cannot be reached, or says that it cannot tell."""
        content, headers = msgspec.json.encode(body), {"content-type": "application/json"}
        for left in reversed(range(tries_max)):
            try:
                answer = await self._http.post(f"/v1/driver/{path}", content=content, headers=headers)
            except httpx.TransportError as error:
                reason = type(error).__name__
            else:
                if answer.status_code < SERVER_ERROR:
                    return _checked(answer)
                reason = f"HTTP {answer.status_code}"
            if not left:
                raise ConnectionError(f"{path}: {reason}")
        raise ValueError("tries_max is at least 1")

    def _keep(self, tokens: DriverTokens) -> DriverTokens:
        self.tokens, self.attempt = tokens, None
        self._tell()
        return tokens

    def _forget(self) -> None:
        self.tokens, self.attempt = None, None
        self._tell()

    def _tell(self) -> None:
        if self._changed is not None:
            self._changed(self.tokens, self.attempt)


def _checked(answer: httpx.Response) -> bytes:
    if answer.is_success:
        return answer.content
    try:
        fields: dict[str, Any] = msgspec.json.decode(answer.content, type=dict[str, Any])
    except msgspec.MsgspecError:
        fields = {}
    raise LoginRefusedError(str(fields.pop("code", "internal")), fields)
