"""All HTTP routes as one list, and what they need from the composition root."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from litestar import Litestar
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components
from litestar.types import ControllerRouterHandler

from flexlive.realtime.hub import Hub
from flexlive.services.context import Context
from flexlive.web import (
    asyncapi_api,
    driver_account_api,
    driver_commands,
    driver_earnings,
    driver_http,
    driver_uploads,
    enrolment_api,
    health,
    market_api,
    merchant_api,
    notice_api,
    ops_alert_api,
    ops_api,
    ops_delivery_api,
    ops_driver_api,
    page_files,
    pilot_api,
    push_target_api,
    tracking,
)
from flexlive.web.auth import security_schemes
from flexlive.web.basemap import Basemap
from flexlive.web.dependencies import dependencies
from flexlive.web.errors import exception_handlers
from flexlive.web.limits import HttpOptions
from flexlive.web.track_feeds import TrackStreams

__all__ = ["dependencies", "exception_handlers", "install", "openapi_config", "route_handlers"]

route_handlers: Final[list[ControllerRouterHandler]] = [
    merchant_api.router,
    market_api.router,
    ops_api.router,
    ops_delivery_api.router,
    ops_driver_api.router,
    ops_alert_api.router,
    notice_api.router,
    pilot_api.router,
    enrolment_api.router,
    enrolment_api.driver_router,
    tracking.router,
    page_files.router,
    driver_http.router,
    driver_account_api.router,
    driver_commands.router,
    driver_uploads.router,
    driver_earnings.router,
    push_target_api.router,
    health.router,
    asyncapi_api.router,
]


def install(
    app: Litestar,
    *,
    ctx: Context,
    hub: Hub,
    relay_alive: Callable[[], bool],
    bus_alive: Callable[[], bool] = lambda: True,
    options: HttpOptions | None = None,
    basemap: Basemap | None = None,
) -> TrackStreams:
    """Give the routes their world; call before the first request. Drain what is returned when the process stops."""
    streams = TrackStreams(options)
    app.state.ctx = ctx
    app.state.hub = hub
    app.state.track_streams = streams
    app.state.relay_alive = relay_alive
    app.state.draining = False
    app.state.bus_alive = bus_alive
    app.state.basemap = basemap or Basemap()
    return streams


def openapi_config(version: str) -> OpenAPIConfig:
    """The description at /schema, as JSON; no viewer, since those load scripts from elsewhere."""
    return OpenAPIConfig(
        title="flexlive",
        version=version,
        description="Same-day delivery from local stores by gig drivers. Errors are problem+json with a stable `code`.",
        path="/schema",
        components=Components(security_schemes=dict(security_schemes)),
        use_handler_docstrings=True,
        render_plugins=[JsonRenderPlugin(path="/")],
    )
