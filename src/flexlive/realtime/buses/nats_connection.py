"""One connection to NATS: making it, asking whether it lives, ending it. Never reconnects by itself: the bus
makes a new one, so that there is one rule for a lost connection, a refused login and a server that fell silent."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Final

import structlog
from nats.aio.client import Client

from flexlive.realtime.buses.nats_options import NatsOptions

CLOSE_SECONDS_MAX: Final = 1.0

_log = structlog.get_logger()


class BusLostError(Exception):
    """The connection ended; str() says how."""


async def connect(options: NatsOptions) -> tuple[Client, asyncio.Event]:
    """A connection to one of the servers, and the event that says it was closed. Raises whatever stood in the way."""
    client, lost = Client(), asyncio.Event()
    cause: list[Exception] = []

    async def on_error(error: Exception) -> None:
        cause[:] = [error]
        _log.debug("bus_error", error=repr(error))

    async def on_closed() -> None:
        lost.set()

    try:
        async with asyncio.timeout(options.connect_seconds_max):
            await client.connect(
                list(options.servers),
                name="flexlive",
                allow_reconnect=False,
                # Of each server in one go; 0 would mean for ever.
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=max(1, int(options.round_trip_seconds_max)),
                # Our own subscribers have it already.
                no_echo=True,
                tls=_tls(options),
                user_credentials=None if options.credentials is None else str(options.credentials),
                # A library that waits for a slow server inside publish() swallows cancellation there: the bus itself
                # looks at what is unflushed, and waits where it can be ended.
                pending_size=-1,
                error_cb=on_error,
                closed_cb=on_closed,
            )
    except BaseException as error:
        await close(client)
        if isinstance(error, TimeoutError) and cause:
            raise cause[0] from error
        raise
    return client, lost


async def round_trip(client: Client, options: NatsOptions) -> float:
    """Seconds to the server and back; whatever was sent before has arrived. BusLostError when it takes too long."""
    try:
        async with asyncio.timeout(options.round_trip_seconds_max):
            return await client.rtt(timeout=60)
    except TimeoutError:
        raise BusLostError(f"no answer within {options.round_trip_seconds_max:g} s") from None


async def close(client: Client) -> None:
    """End it; never raises, never waits long for a server that does not read."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS_MAX):
            await client.close()
    except Exception as error:
        _log.debug("bus_cut", error=repr(error))
        # The library knows only the orderly end, which waits until the other side has read everything.
        with contextlib.suppress(AttributeError):
            client._transport._io_writer.transport.abort()  # type: ignore[union-attr] # pyright: ignore


def _tls(options: NatsOptions) -> ssl.SSLContext | None:
    if options.tls_ca is None and options.tls_certificate is None:
        return None
    context = ssl.create_default_context(cafile=options.tls_ca)
    if options.tls_certificate is not None:
        context.load_cert_chain(options.tls_certificate, options.tls_key)
    return context
