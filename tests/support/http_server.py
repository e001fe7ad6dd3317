"""The whole server on a loopback port inside the test's own loop; its client holds every answer to the schema."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
from litestar import Litestar

from flexlive.app import create_app, drain
from flexlive.services.context import Context
from flexlive.settings import Settings
from flexlive.web.frame_transport import UVICORN_OPTIONS, FrameTransportProtocol
from flexlive.web.http_transport import HttpTransportProtocol
from flexlive.web.listening import listen
from tests.support.world import LAZY_POOL

START_SECONDS_MAX = 10.0
_schema: dict[str, Any] = {}


@dataclass
class Server:
    """url: without a trailing slash. schema: what the server says of itself at /schema."""

    url: str
    app: Litestar
    ctx: Context
    http: httpx.AsyncClient
    schema: dict[str, Any] = field(default_factory=dict)

    def bearer(self, token: str) -> dict[str, str]:
        return {"authorization": f"Bearer {token}"}


@asynccontextmanager
async def serve(database_url: str, **settings: Any) -> AsyncIterator[Server]:
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    app = create_app(Settings(port=port, **{"pool": LAZY_POOL, **settings}), database_url, lambda: None)
    config = uvicorn.Config(
        app,
        ws=FrameTransportProtocol,
        http=HttpTransportProtocol,
        lifespan="on",
        log_config=None,
        timeout_graceful_shutdown=5,
        **UVICORN_OPTIONS,
    )
    server = _Server(config)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        async with asyncio.timeout(START_SECONDS_MAX):
            while not server.started and not running.done():
                await asyncio.sleep(0.01)
        if running.done():
            running.result()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False) as http:
            served = Server(f"http://127.0.0.1:{port}", app, app.state.ctx, http)
            if not _schema:
                # The same for every server of a run, and slow to make.
                _schema.update((await http.get("/schema")).json())
            served.schema = _schema
            http.event_hooks["response"].append(lambda response: _hold_to_schema(served.schema, response))
            yield served
    finally:
        if not running.done():
            await drain(app)
            server.should_exit = True
        await running


class _Server(uvicorn.Server):
    def capture_signals(self) -> Any:
        from contextlib import nullcontext

        return nullcontext()


async def _hold_to_schema(schema: dict[str, Any], response: httpx.Response) -> None:
    """Every answer of a described operation must be one it describes: status and media type."""
    for path, operations in schema["paths"].items():
        pattern = re.sub(r"\{[^}]+\}", "[^/]+", path)
        operation = operations.get(response.request.method.lower())
        if operation is None or not re.fullmatch(pattern, response.request.url.path):
            continue
        described = operation["responses"].get(str(response.status_code))
        assert described is not None, f"{operation['operationId']} does not describe {response.status_code}"
        media_type = response.headers.get("content-type", "").partition(";")[0]
        assert media_type in described.get("content", {"": None}), (
            f"{operation['operationId']}: {media_type} is not described"
        )
        return
