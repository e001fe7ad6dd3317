"""`flexlive serve`: the database, the event loop, the listening socket, signals, and an orderly end."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Final

import structlog
import uvicorn
from litestar import Litestar

from flexlive.app import create_app, drain
from flexlive.settings import Settings, listed
from flexlive.storage import migrations
from flexlive.storage.embedded import EmbeddedOptions, EmbeddedPostgres, running_dsn
from flexlive.storage.errors import DataDirectoryInUseError
from flexlive.web.frame_transport import UVICORN_OPTIONS, FrameTransportProtocol
from flexlive.web.http_transport import HttpTransportProtocol
from flexlive.web.listening import ListenOptions, listen

SHUTDOWN_SECONDS_MAX: Final = 10
TLS_HANDSHAKE_SECONDS_MAX: Final = 10.0
SESSIONS_BESIDE: Final = 20
EMBEDDED_SESSIONS: Final = 60
"""What the embedded database has room for unless told otherwise."""
_log = structlog.get_logger()


class StartError(Exception):
    """The server cannot start; str() says what to do."""


def serve(settings: Settings) -> None:
    """Run until SIGINT or SIGTERM."""
    run(settings, _serve(settings))


def run(settings: Settings, work: Coroutine[None, None, None]) -> None:
    """Run what serves to its end: with logs as set, as many descriptors as allowed, and the fastest loop there is."""
    configure_logging(settings)
    raise_descriptor_limit()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(work)


@asynccontextmanager
async def database(settings: Settings, *, shared: bool = False) -> AsyncGenerator[str]:
    """The dsn of the configured database, or of an embedded one that lives as long as the block.

    shared: use the embedded one of a server that runs, should there be one; for commands beside it.
    """
    if settings.database_url is not None:
        yield settings.database_url
        return
    options = EmbeddedOptions(data_dir=settings.data_dir / "postgres", settings=_room(settings))
    async with AsyncExitStack() as stack:
        try:
            postgres = await stack.enter_async_context(EmbeddedPostgres(options))
        except DataDirectoryInUseError:
            if not shared:
                raise
            yield running_dsn(options)
        else:
            yield postgres.dsn


def _nothing_to_reload() -> None:
    _log.warning("not_reloaded", reason="a single process cannot be replaced while it serves; set FLEXLIVE_PROCESSES=2")


def _room(settings: Settings) -> dict[str, str]:
    """Database sessions for all processes, one more while it replaces another, and commands beside them."""
    each = settings.pool.max_size + settings.relay_pool.max_size
    wanted = (settings.processes + 1) * each + SESSIONS_BESIDE
    return {"max_connections": str(wanted)} if wanted > EMBEDDED_SESSIONS else {}


async def _serve(settings: Settings) -> None:
    # Before the database: an address in use should cost nobody a database start.
    listener = open_listener(settings)
    if settings.port == 0:
        # Tracking links carry the address: the free port must be known before the first one is made.
        settings = replace(settings, port=listener.getsockname()[1])
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _nothing_to_reload)
    try:
        async with database(settings) as dsn:
            for name in await migrations.migrate(dsn):
                _log.info("migration_applied", name=name)
            if not stop.is_set():
                await serve_http(settings, dsn, listener, stop)
    finally:
        listener.close()


async def serve_http(
    settings: Settings,
    dsn: str,
    listener: socket.socket,
    stop: asyncio.Event,
    started: Callable[[], None] = lambda: None,
) -> None:
    """Serve on the socket until `stop`, then end in order. started: called once it takes connections.

    Raises StartError when it never came so far.
    """
    app = create_app(settings, dsn, stop.set)
    server = _Server(_http_config(settings, app), settings.url, started)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
    if not serving.done():
        # Sockets are told and closed in batches first; uvicorn alone would cut them all at once.
        await drain(app, server.stop_accepting)
        server.should_exit = True
    stopping.cancel()
    await serving
    if not server.started:
        raise StartError("the server did not start; see the log above")


def _http_config(settings: Settings, app: Litestar) -> uvicorn.Config:
    proxies = listed(settings.trusted_proxies)
    try:
        config = uvicorn.Config(
            app,
            ws=FrameTransportProtocol,
            http=HttpTransportProtocol,
            loop="none",
            lifespan="on",
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS_MAX,
            backlog=settings.listening.backlog,
            ssl_certfile=settings.tls_certificate,
            ssl_keyfile=settings.tls_key,
            # Whose word is taken for where a client is: nobody's unless named; uvicorn alone believes its own host.
            proxy_headers=bool(proxies),
            forwarded_allow_ips=proxies,
            **UVICORN_OPTIONS,
        )
        config.load()
    except OSError as error:
        # ssl.SSLError is one too.
        raise StartError(f"cannot use FLEXLIVE_TLS_CERTIFICATE and FLEXLIVE_TLS_KEY: {error}") from error
    return config


class _Server(uvicorn.Server):
    """Signals are ours: the order of draining is not uvicorn's. url: told once it is served."""

    def __init__(self, config: uvicorn.Config, url: str, told: Callable[[], None]) -> None:
        super().__init__(config)
        self._url = url
        self._told = told

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # uvicorn would give each TLS handshake a minute: the listening is done here.
        await super().startup([])
        config, state = self.config, self.lifespan.state
        loop = asyncio.get_running_loop()

        def protocol() -> asyncio.Protocol:
            return HttpTransportProtocol(config=config, server_state=self.server_state, app_state=state, _loop=loop)

        for listener in sockets or []:
            serving = await loop.create_server(
                protocol,
                sock=listener,
                ssl=config.ssl,
                backlog=config.backlog,
                ssl_handshake_timeout=TLS_HANDSHAKE_SECONDS_MAX if config.ssl else None,
            )
            self.servers.append(serving)
        if self.started:
            _log.info("serving", url=self._url, schema=f"{self._url}/schema")
            self._told()

    def stop_accepting(self) -> None:
        """Close the listening socket: whoever else listens on the address gets new connections from now on."""
        for serving in self.servers:
            serving.close()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def open_listener(
    settings: Settings, take: Callable[[str, int, ListenOptions], socket.socket] = listen
) -> socket.socket:
    """The listening socket of these settings, or what else takes the address. StartError when it cannot be had."""
    try:
        return take(settings.host, settings.port, settings.listening)
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


def raise_descriptor_limit() -> None:
    """As many open files as the system lets us have: each phone is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
