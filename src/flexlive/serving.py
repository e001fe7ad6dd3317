"""`flexlive serve`: the database, the event loop, the listening socket, signals, and an orderly end."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Final

import structlog
import uvicorn

from flexlive.app import create_app, drain
from flexlive.settings import Settings
from flexlive.storage import migrations
from flexlive.storage.embedded import EmbeddedOptions, EmbeddedPostgres, running_dsn
from flexlive.storage.errors import DataDirectoryInUseError
from flexlive.web.frame_transport import UVICORN_OPTIONS, FrameTransportProtocol
from flexlive.web.http_transport import HttpTransportProtocol
from flexlive.web.listening import listen

SHUTDOWN_SECONDS_MAX: Final = 10
_log = structlog.get_logger()


class StartError(Exception):
    """The server cannot start; str() says what to do."""


def serve(settings: Settings) -> None:
    """Run until SIGINT or SIGTERM."""
    configure_logging(settings)
    _raise_descriptor_limit()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(settings))


@asynccontextmanager
async def database(settings: Settings, *, shared: bool = False) -> AsyncGenerator[str]:
    """The dsn of the configured database, or of an embedded one that lives as long as the block.

    shared: use the embedded one of a server that runs, should there be one; for commands beside it.
    """
    if settings.database_url is not None:
        yield settings.database_url
        return
    options = EmbeddedOptions(data_dir=settings.data_dir / "postgres")
    async with AsyncExitStack() as stack:
        try:
            postgres = await stack.enter_async_context(EmbeddedPostgres(options))
        except DataDirectoryInUseError:
            if not shared:
                raise
            yield running_dsn(options)
        else:
            yield postgres.dsn


async def _serve(settings: Settings) -> None:
    # Before the database: an address in use should cost nobody a database start.
    listener = _listen(settings)
    if settings.port == 0:
        # Tracking links carry the address: the free port must be known before the first one is made.
        settings = replace(settings, port=listener.getsockname()[1])
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        async with database(settings) as dsn:
            for name in await migrations.migrate(dsn):
                _log.info("migration_applied", name=name)
            if not stop.is_set():
                await _serve_http(settings, dsn, listener, stop)
    finally:
        listener.close()


async def _serve_http(settings: Settings, dsn: str, listener: socket.socket, stop: asyncio.Event) -> None:
    app = create_app(settings, dsn, stop.set)
    config = uvicorn.Config(
        app,
        ws=FrameTransportProtocol,
        http=HttpTransportProtocol,
        loop="none",
        lifespan="on",
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS_MAX,
        **UVICORN_OPTIONS,
    )
    server = _Server(config, settings.url)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
    if not serving.done():
        # Sockets are told and closed in batches first; uvicorn alone would cut them all at once.
        await drain(app)
        server.should_exit = True
    stopping.cancel()
    await serving
    if not server.started:
        raise StartError("the server did not start; see the log above")


class _Server(uvicorn.Server):
    """Signals are ours: the order of draining is not uvicorn's. url: told once it is served."""

    def __init__(self, config: uvicorn.Config, url: str) -> None:
        super().__init__(config)
        self._url = url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            _log.info("serving", url=self._url, schema=f"{self._url}/schema")

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def _listen(settings: Settings) -> socket.socket:
    try:
        return listen(settings.host, settings.port, settings.listening)
    except OSError as error:
        raise StartError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; "
            "choose another port with --port or FLEXLIVE_PORT"
        ) from error


def configure_logging(settings: Settings) -> None:
    """structlog for our own lines, the same level for those of libraries."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    logging.basicConfig(level=max(level, logging.WARNING), format="%(levelname)s %(name)s %(message)s")
    # An outage is told once by those who were asked for something, not once per session with a traceback.
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)
    renderer = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def _raise_descriptor_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
