"""The one place that touches the WebSocket library: a socket that sends, receives, and says why it ended."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidURI, WebSocketException
from websockets.frames import CloseCode as WebSocketCloseCode
from websockets.typing import Subprotocol

from flexlive.client.options import ClientOptions
from flexlive.protocol.driver import SUBPROTOCOL


class SocketClosed(Exception):  # noqa: N818 - the ordinary end of a socket, not an error
    """code: the server's close code, or 1006 when there was none."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


class Socket:
    """An open connection."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._closed_here: str | None = None

    async def send(self, frame: bytes) -> None:
        """A text frame. A socket that has ended swallows it: `receive` says so, and the session sends it again."""
        with contextlib.suppress(ConnectionClosed):
            await self._connection.send(frame, text=True)

    async def receive(self) -> bytes:
        """The next frame. Raises SocketClosed."""
        try:
            return await self._connection.recv(decode=False)
        except ConnectionClosed as closed:
            # The code this side closed with, echoed, is no advice from the server.
            if self._closed_here is not None:
                raise SocketClosed(int(WebSocketCloseCode.ABNORMAL_CLOSURE), self._closed_here) from None
            end = closed.rcvd or closed.sent
            code = int(WebSocketCloseCode.ABNORMAL_CLOSURE) if end is None else int(end.code)
            raise SocketClosed(code, "connection lost" if end is None else end.reason) from None

    async def close(self, code: int, reason: str) -> None:
        """From this side; `receive` then tells 1006, which means: come back."""
        self._closed_here = reason
        await self._connection.close(code, reason)


@contextlib.asynccontextmanager
async def open_socket(url: str, token: str, options: ClientOptions) -> AsyncGenerator[Socket]:
    """Dials, and closes at the end of the block. Raises SocketClosed(1006) when no connection comes about."""
    try:
        connection = await connect(
            url,
            additional_headers={"Authorization": f"Bearer {token}"},
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            compression=None,
            proxy=None,
            user_agent_header=None,
            ping_interval=None,
            open_timeout=options.connect_timeout_seconds,
            close_timeout=options.close_timeout_seconds,
            max_size=options.frame_bytes_max,
        )
    except InvalidURI as error:
        raise ValueError(str(error)) from None
    except (OSError, WebSocketException, TimeoutError, EOFError) as error:
        # Cut while dialling, whichever way the library puts it.
        raise SocketClosed(1006, f"{type(error).__name__}: {error}") from None
    try:
        yield Socket(connection)
    finally:
        await asyncio.shield(connection.close())
