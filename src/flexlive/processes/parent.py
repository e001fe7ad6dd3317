"""`flexlive serve --processes N`: the parent. It owns what all processes share – port, embedded database, NATS – and
starts, watches, replaces and ends them; it serves nobody itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Final

import structlog

from flexlive import serving
from flexlive.processes.figures import FOLDER_VARIABLE, Figures
from flexlive.processes.nats_keeper import kept_nats
from flexlive.processes.slot import ProcessOptions, Slot
from flexlive.serving import StartError
from flexlive.settings import Settings, environment
from flexlive.storage import migrations
from flexlive.web.listening import bind

MIGRATE_SECONDS_MAX: Final = 600.0
_log = structlog.get_logger()


def serve(settings: Settings, options: ProcessOptions | None = None) -> None:
    """Run until SIGINT or SIGTERM; SIGHUP replaces the processes one after the other."""
    serving.configure_logging(settings)
    serving.raise_descriptor_limit()
    asyncio.run(_serve(settings, options or ProcessOptions()))


async def _serve(settings: Settings, options: ProcessOptions) -> None:
    stop, again = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, again.set)
    async with AsyncExitStack() as stack:
        address = stack.enter_context(_address(settings))
        settings = replace(settings, port=address.getsockname()[1])
        dsn = await stack.enter_async_context(serving.database(settings))
        for name in await migrations.migrate(dsn):
            _log.info("migration_applied", name=name)
        nats_url = settings.nats_url or await stack.enter_async_context(kept_nats())
        figures = Figures()
        stack.callback(figures.close)
        shared = replace(settings, database_url=dsn, nats_url=nats_url, processes=1)
        environ = {**os.environ, **environment(shared), FOLDER_VARIABLE: str(figures.folder)}
        slots = [
            Slot(number, partial(_bind, settings), environ, options, figures.process_ended)
            for number in range(settings.processes)
        ]
        if not stop.is_set():
            await _run(slots, environ, stop, again, settings.url)


async def _run(slots: list[Slot], environ: dict[str, str], stop: asyncio.Event, again: asyncio.Event, url: str) -> None:
    tasks: list[asyncio.Task[None]] = []
    try:
        starting = asyncio.gather(*(slot.start() for slot in slots))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await starting
            return
        if not all(starting.result()):
            raise StartError("a server process did not start; see the log above")
        _log.info("serving_with_processes", url=url, processes=len(slots))
        tasks = [asyncio.create_task(slot.keep()) for slot in slots]
        tasks.append(asyncio.create_task(_replace_on_request(slots, environ, again)))
        await stopping
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(slot.stop() for slot in slots))


async def _replace_on_request(slots: list[Slot], environ: dict[str, str], again: asyncio.Event) -> None:
    while True:
        await again.wait()
        again.clear()
        _log.info("rolling_restart", processes=len(slots))
        if not await _migrate(environ):
            _log.error("rolling_restart_abandoned", reason="migrations failed; the processes stay as they are")
            continue
        for slot in slots:
            if not await slot.replace():
                _log.error("rolling_restart_abandoned", slot=slot.number, reason="its new process did not start")
                break
        else:
            _log.info("rolling_restart_done", pids=[slot.pid for slot in slots])


async def _migrate(environ: dict[str, str]) -> bool:
    """With the program as it is installed now, which may be newer than this process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "flexlive", "migrate", env=environ, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(MIGRATE_SECONDS_MAX):
            return await process.wait() == 0
    except BaseException as error:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if isinstance(error, TimeoutError):
            return False
        raise


def _address(settings: Settings) -> socket.socket:
    """Keeps the port ours for as long as we live; takes no connections itself. StartError when it is in use."""
    if settings.port:
        # SO_REUSEPORT alone would let us share it with any other server of this user.
        serving.open_listener(settings).close()
    return _bind(settings)


def _bind(settings: Settings) -> socket.socket:
    shared = replace(settings, listening=replace(settings.listening, reuse_port=True))
    return serving.open_listener(shared, bind)
