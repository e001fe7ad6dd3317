"""The NATS server of our own processes: started with them, started again should it die, ended after them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import structlog

from flexlive.realtime.buses.nats_server import NatsServer, NatsServerError
from flexlive.serving import StartError

LOOK_SECONDS: Final = 0.25
RETRY_SECONDS_MAX: Final = 5.0
_log = structlog.get_logger()


@asynccontextmanager
async def kept_nats() -> AsyncGenerator[str]:
    """Its URL, the same over restarts. Raises StartError when there is no such program or it does not start."""
    try:
        server = NatsServer()
    except NatsServerError as error:
        raise StartError(str(error)) from error
    try:
        try:
            await asyncio.to_thread(server.start)
        except NatsServerError as error:
            raise StartError(str(error)) from error
        keeper = asyncio.create_task(_keep(server), name="nats-keeper")
        try:
            yield server.url
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
    finally:
        await asyncio.to_thread(server.stop)


async def _keep(server: NatsServer) -> None:
    failures = 0
    while True:
        await asyncio.sleep(min(RETRY_SECONDS_MAX, LOOK_SECONDS * 2**failures))
        if server.running:
            failures = 0
            continue
        failures = min(failures + 1, 8)
        _log.error("nats_died", said=server.log[-500:])
        try:
            await asyncio.shield(asyncio.to_thread(server.start))
        except NatsServerError as error:
            _log.error("nats_not_started", error=str(error))
