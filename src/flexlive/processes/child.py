"""One of several server processes: serves on a socket it was given, tells its parent when it is ready, and ends when
the parent says so or is gone."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Final

import structlog

from flexlive import serving
from flexlive.settings import Settings

READY: Final = b"r"
ORPHANED_SECONDS_MAX: Final = 10.0
"""From the parent's death to ours; the embedded database and NATS go with the parent, so there is no use in more."""

_log = structlog.get_logger()


def serve(settings: Settings, listener_fd: int, parent_fd: int) -> None:
    """Run until SIGTERM or until the parent's end of the socket parent_fd is closed. database_url must be set."""
    listener, parent = socket.socket(fileno=listener_fd), socket.socket(fileno=parent_fd)
    listener.setblocking(False)
    serving.run(settings, _serve(settings, listener, parent))


async def _serve(settings: Settings, listener: socket.socket, parent: socket.socket) -> None:
    assert settings.database_url is not None
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    # Of the parent's terminal; what it means to us is the parent's to say.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _end_with(parent, lambda: loop.call_soon_threadsafe(stop.set))
    try:
        await serving.serve_http(settings, settings.database_url, listener, stop, lambda: _tell(parent))
    finally:
        listener.close()


def _tell(parent: socket.socket) -> None:
    try:
        parent.send(READY)
    except OSError:
        _log.warning("parent_gone")


def _end_with(parent: socket.socket, stop: Callable[[], object]) -> None:
    """A thread: the parent's death ends us even when the event loop is stuck."""

    def watch() -> None:
        parent.setblocking(True)
        try:
            while parent.recv(16):
                pass
        except OSError:
            pass
        try:
            stop()
        except RuntimeError:
            # The loop is closed: we are at the end anyway.
            return
        time.sleep(ORPHANED_SECONDS_MAX)
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
