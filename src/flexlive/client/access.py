"""With which token the next connection is made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias


class TokenSource(Protocol):
    """Access tokens that renew themselves, as `Login` does."""

    async def token(self) -> str:
        """One that holds for a while. OSError: try later; LoginRefusedError: log in anew."""
        ...

    def refused(self) -> None:
        """The server says that the last one has expired, whatever the clock here says."""
        ...


Token: TypeAlias = str | Callable[[], Awaitable[str]] | TokenSource


class Access:
    """One client's token, whichever way it comes."""

    def __init__(self, token: Token) -> None:
        self._token = token

    async def fresh(self) -> str:
        """Raises what the source raises."""
        if isinstance(self._token, str):
            return self._token
        return await (self._token() if callable(self._token) else self._token.token())

    def expired(self) -> bool:
        """The server closed 4401. False: there is no other token to come back with."""
        if isinstance(self._token, str):
            return False
        if not callable(self._token):
            self._token.refused()
        return True
