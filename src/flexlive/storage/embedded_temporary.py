"""Data directories that last as long as their process; those of killed processes are cleared away by the next start."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

from flexlive.storage import embedded_process as process
from flexlive.storage.embedded_account import Account, runtime_folder
from flexlive.storage.embedded_cluster import lock_home, open_cluster
from flexlive.storage.errors import DataDirectoryInUseError, EmbeddedPostgresError

_PREFIX = "t-"
_LEFTOVER_STOP_TIMEOUT_SECONDS = 5.0


def make_temporary_home(account: Account) -> tuple[Path, int]:
    """A new locked home, and the descriptor of its lock; first clears away homes whose process is gone."""
    folder = runtime_folder(account)
    with _only_one(folder):
        _sweep(folder, account)
        home = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder))
        if account.switched:
            home.chmod(0o711)
        return home, lock_home(home)


def remove_home(home: Path) -> None:
    """Delete a temporary home; its lock file last, so that a sweep finds it as long as anything is left."""
    for entry in home.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.name != "lock":
            entry.unlink(missing_ok=True)
    shutil.rmtree(home, ignore_errors=True)


def _sweep(folder: Path, account: Account) -> None:
    for home in folder.glob(f"{_PREFIX}*"):
        try:
            descriptor = lock_home(home)
        except (DataDirectoryInUseError, OSError):
            continue
        try:
            cluster = open_cluster(home, account)
            process.end_leftovers(cluster, _LEFTOVER_STOP_TIMEOUT_SECONDS)
            cluster.remove_sockets()
            remove_home(home)
        except (OSError, EmbeddedPostgresError):
            # Not ours to fail on; the next start tries again.
            continue
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _only_one(folder: Path) -> Generator[None]:
    descriptor = os.open(folder / "sweep.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
