"""Composition root: settings in, the ASGI application out."""

from __future__ import annotations

import gc
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Final, cast

from litestar import Litestar, asgi
from litestar.types import LifeSpanReceive, LifeSpanScope, LifeSpanSend, Receive, Scope, Send

from flexlive.runtime import open_runtime
from flexlive.services.code_sender import code_sender
from flexlive.services.login import LoginDesk
from flexlive.settings import Settings
from flexlive.storage.upload_store import UploadStore
from flexlive.web import basemap
from flexlive.web.driver_commands import CommandPace
from flexlive.web.driver_socket import DriverGateway
from flexlive.web.rate_limit import rate_limit
from flexlive.web.routes import dependencies, exception_handlers, install, openapi_config, route_handlers
from flexlive.web.track_stream import TrackStreams

DRIVER_PATH: Final = "/v1/driver"
BODY_BYTES_MAX: Final = 1024 * 1024
GC_ALLOCATIONS: Final = 20_000
"""Between two collections of the youngest objects; the default of 700 costs pauses that a push can feel."""


class App(Litestar):
    """Litestar, but for drivers' sockets: a routed, wrapped handshake costs a quarter of a connect, and thousands of
    phones come back in one second."""

    async def __call__(
        self, scope: Scope | LifeSpanScope, receive: Receive | LifeSpanReceive, send: Send | LifeSpanSend
    ) -> None:
        if scope["type"] == "websocket" and scope["path"] == DRIVER_PATH:
            gateway: DriverGateway = self.state.gateway
            await gateway.asgi(scope, cast("Receive", receive), cast("Send", send))
        else:
            await super().__call__(scope, receive, send)


def create_app(settings: Settings, dsn: str, on_replaced: Callable[[], None]) -> Litestar:
    """One server process as an ASGI application. The database is migrated before.

    on_replaced: called when the database turns out to be another cluster; the process must then start again.
    """

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncGenerator[None]:
        async with open_runtime(settings, dsn, on_replaced) as runtime:
            install(
                app,
                ctx=runtime.ctx,
                hub=runtime.hub,
                relay_alive=lambda: runtime.healthy,
                bus_alive=lambda: runtime.hears_others,
                options=settings.http,
                basemap=basemap.parse(settings.basemap),
            )
            app.state.gateway, app.state.push_providers = runtime.gateway, runtime.push_providers
            app.state.command_pace = CommandPace(settings.gateway.connection.limits)
            sender, store = code_sender(settings.code_sender), UploadStore(settings.upload_root, settings.uploads)
            app.state.login_desk, app.state.upload_store = LoginDesk(sender, settings.login), store
            await store.tidy()
            await runtime.start()
            _calm_collector()
            try:
                yield
            finally:
                await runtime.stop()
                await sender.close()

    @asgi(DRIVER_PATH, is_mount=False, copy_scope=False)
    async def driver_socket(scope: Scope, receive: Receive, send: Send) -> None:
        # Only what is no WebSocket comes this far; it is told what to speak.
        gateway: DriverGateway = scope["litestar_app"].state.gateway
        await gateway.asgi(scope, receive, send)

    return App(
        route_handlers=[*route_handlers, driver_socket],
        dependencies=dependencies,
        exception_handlers=exception_handlers,
        middleware=rate_limit(settings.http.requests_per_minute_max),
        lifespan=[lifespan],
        openapi_config=openapi_config(version("flexlive")),
        request_max_body_size=BODY_BYTES_MAX,
        logging_config=None,
    )


def _calm_collector() -> None:
    """What lives until the end need not be looked at by every collection; rows and frames are freed by count."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_ALLOCATIONS, 20, 100)


async def drain(app: Litestar, stop_accepting: Callable[[], None] | None = None) -> None:
    """Say so on /readyz, take no new connections, end every stream, tell every phone to come back a little later, close
    sockets in batches; before the server stops, for it waits for open connections."""
    app.state.draining = True
    if stop_accepting is not None:
        stop_accepting()
    streams: TrackStreams = app.state.track_streams
    await streams.drain()
    gateway: DriverGateway = app.state.gateway
    await gateway.drain()
