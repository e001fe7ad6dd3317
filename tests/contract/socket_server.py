"""A real uvicorn on a loopback port around one ASGI callable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from flexlive.web.frame_transport import UVICORN_OPTIONS, FrameTransportProtocol
from flexlive.web.listening import listen

App = Callable[[Any, Any, Any], Any]


@asynccontextmanager
async def serving(app: App, *, plain_asgi: bool = False, **options: Any) -> AsyncIterator[int]:
    """Yields the port. plain_asgi: stock uvicorn, without our extension."""
    protocol = WebSocketsSansIOProtocol if plain_asgi else FrameTransportProtocol
    listener = listen("127.0.0.1", 0)
    settings = UVICORN_OPTIONS | {"log_config": None, "lifespan": "off", "timeout_graceful_shutdown": 2} | options
    server = uvicorn.Server(uvicorn.Config(app, ws=protocol, **settings))
    task = asyncio.create_task(server._serve([listener]))  # pyright: ignore[reportPrivateUsage] – no signal handlers
    try:
        while not server.started:
            await asyncio.sleep(0.01)
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await task
        listener.close()
