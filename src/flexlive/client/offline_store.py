"""What an app keeps on disk, so that it may die at any moment: its login, its device's name, and every command that
has no answer yet. One SQLite file; each change is one transaction that is on the disk when the call returns.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from uuid import uuid4

import msgspec

from flexlive.protocol.client_effects import PendingFull
from flexlive.protocol.client_frames import Command
from flexlive.protocol.codec import encode_client
from flexlive.protocol.driver_http import DriverTokens
from flexlive.protocol.limits import UNACKED_CMDS_MAX

COMMANDS_MAX: Final = UNACKED_CMDS_MAX
"""As many as one hello can ask after."""

_SCHEMA: Final = """
create table if not exists app (name text primary key, value text not null) without rowid;
create table if not exists command (
  position integer primary key autoincrement, cmd text not null unique, frame blob not null
);
"""


class StoreError(Exception):
    """The file cannot be used: another process has it, it is no store, or the disk is full. str() says which."""


class OfflineStore:
    """`with OfflineStore(path) as store:`, then `DriverClient(url, login, store=store)`.

    path: of the file, created readable by its owner only; one process at a time may have it. device_id: drawn when
    the file is made, and the same ever after. StoreError from any method when the disk says no.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        with _said(self._path):
            # Made before SQLite sees it: tokens and PINs are nobody else's business.
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
            self._connection = sqlite3.connect(self._path, timeout=0, isolation_level=None)
            try:
                self._connection.execute("pragma locking_mode = exclusive")
                self._connection.execute("pragma journal_mode = wal")
                self._connection.execute("pragma synchronous = full")
                self._connection.executescript(_SCHEMA)
                self.device_id = self._read("device_id") or uuid4().hex
                self._write("device_id", self.device_id)
                self.starts = int(self._read("starts") or 0) + 1
                self._write("starts", str(self.starts))
            except BaseException:
                self._connection.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Everything is on disk already; the file may be opened again."""
        self._connection.close()

    # Commands

    def commands(self) -> tuple[Command, ...]:
        """Those without an answer, oldest first. What a later version of this library left here is left alone."""
        with _said(self._path):
            rows = self._connection.execute("select frame from command order by position").fetchall()
        return tuple(command for (frame,) in rows if (command := _decoded(frame)) is not None)

    def put(self, command: Command) -> None:
        """Keep it until it is answered. PendingFull beyond COMMANDS_MAX; the same cmd again keeps its place."""
        with self._transaction():
            [count] = self._connection.execute("select count(*) from command where cmd <> ?", (command.cmd,)).fetchone()
            if count >= COMMANDS_MAX:
                raise PendingFull
            self._connection.execute(
                "insert into command (cmd, frame) values (?, ?) on conflict (cmd) do update set frame = excluded.frame",
                (command.cmd, encode_client(command)),
            )

    def answered(self, cmd: str) -> None:
        """It has its answer, or is given up."""
        with _said(self._path):
            self._connection.execute("delete from command where cmd = ?", (cmd,))

    # Inbox

    @property
    def inbox_seq(self) -> int:
        """The greatest that was shown."""
        with _said(self._path):
            return int(self._read("inbox_seq") or 0)

    def inbox_shown(self, inbox_seq: int) -> None:
        """Rows up to this one were shown to the driver."""
        with _said(self._path):
            self._write("inbox_seq", str(inbox_seq))

    # Login

    @property
    def tokens(self) -> DriverTokens | None:
        with _said(self._path):
            tokens = self._read("tokens")
        return None if not tokens else msgspec.json.decode(tokens, type=DriverTokens)

    @property
    def attempt(self) -> str | None:
        """The refresh under way."""
        with _said(self._path):
            return self._read("attempt") or None

    def keep_login(self, tokens: DriverTokens | None, attempt: str | None) -> None:
        """What `Login` calls `changed`. Another driver on this phone finds nothing of the one before."""
        with self._transaction():
            owner = self._read("driver_id")
            if tokens is not None and owner != str(tokens.driver_id):
                if owner is not None:
                    self._connection.execute("delete from command")
                    self._write("inbox_seq", "0")
                self._write("driver_id", str(tokens.driver_id))
            self._write("tokens", "" if tokens is None else msgspec.json.encode(tokens).decode())
            self._write("attempt", attempt or "")

    def _read(self, name: str) -> str | None:
        row = self._connection.execute("select value from app where name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def _write(self, name: str, value: str) -> None:
        self._connection.execute("insert or replace into app (name, value) values (?, ?)", (name, value))

    @contextmanager
    def _transaction(self) -> Generator[None]:
        with _said(self._path):
            self._connection.execute("begin immediate")
            try:
                yield
            except BaseException:
                self._connection.execute("rollback")
                raise
            self._connection.execute("commit")


@contextmanager
def _said(path: Path) -> Generator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{path}: {error}") from None


def _decoded(frame: bytes) -> Command | None:
    try:
        return msgspec.json.decode(frame, type=Command)
    except msgspec.MsgspecError:
        return None
