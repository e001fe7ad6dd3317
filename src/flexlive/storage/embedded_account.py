"""Who runs the embedded PostgreSQL, and which folders that account can use as they are.

PostgreSQL refuses to run as root. Root therefore hands it to an existing account without rights; no account is made
and no folder of anyone else is opened up for it.
"""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from flexlive.storage.errors import EmbeddedPostgresError

# Shared folders that outlive a process; the first one the account can use holds sockets and temporary databases.
_SHARED_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - a folder of our own is made inside and checked


@dataclass(frozen=True, slots=True)
class Account:
    """The user PostgreSQL runs as. switched: not the user we are."""

    uid: int
    gid: int
    groups: frozenset[int]
    switched: bool

    def spawn(self, arguments: Sequence[str], *, stdin: int, output: IO[bytes] | int) -> subprocess.Popen[bytes]:
        """Start a program as this account and nothing more: no group, variable or terminal of ours."""
        return subprocess.Popen(  # noqa: S603 - no shell, and every argument is ours
            arguments,
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            umask=0o077,
            # Ctrl-C reaches every process of our terminal's group; PostgreSQL is ended by us, in order.
            start_new_session=True,
            user=self.uid if self.switched else None,
            group=self.gid if self.switched else None,
            extra_groups=[] if self.switched else None,
        )

    def run(self, arguments: Sequence[str], *, timeout_seconds: float) -> tuple[int, str]:
        """Run a program to its end: exit status and output. Raises OSError or subprocess.TimeoutExpired."""
        with self.spawn(arguments, stdin=subprocess.DEVNULL, output=subprocess.PIPE) as process:
            try:
                output, _ = process.communicate(timeout=timeout_seconds)
            except BaseException:
                process.kill()
                raise
        return process.returncode, output.decode("utf-8", "replace").strip()

    def make_folder(self, path: Path) -> None:
        """Create path for this account alone (0700), or check that it is already that. Raises EmbeddedPostgresError."""
        make_private_folder(path, 0o700, owner_uid=self.uid)

    def hand_over(self, path: Path) -> None:
        """Give one file or folder of ours to this account."""
        if self.switched:
            os.chown(path, self.uid, self.gid)

    def can_enter(self, folder: Path) -> bool:
        """Whether folder and all folders above it let this account pass, by their modes (access lists not read)."""
        try:
            resolved = folder.resolve(strict=True)
            return all(self._permits(entry.stat(), stat.S_IXOTH) for entry in (resolved, *resolved.parents))
        except OSError:
            return False

    def can_read_tree(self, folder: Path) -> bool:
        """Whether this account can enter folder and read everything below it."""
        if not self.can_enter(folder) or not self._permits(folder.stat(), stat.S_IROTH):
            return False
        for parent, folders, files in os.walk(folder):
            names = [(name, stat.S_IROTH | stat.S_IXOTH) for name in folders] + [(name, stat.S_IROTH) for name in files]
            if not all(self._permits((Path(parent) / name).stat(), wanted) for name, wanted in names):
                return False
        return True

    def _permits(self, entry: os.stat_result, wanted: int) -> bool:
        if entry.st_uid == self.uid:
            shift = 6
        elif entry.st_gid == self.gid or entry.st_gid in self.groups:
            shift = 3
        else:
            shift = 0
        return (entry.st_mode >> shift) & wanted == wanted


def choose_account(unprivileged_user: str) -> Account:
    """Ourselves, or unprivileged_user when we are root. Raises EmbeddedPostgresError when there is no such user."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), frozenset(os.getgroups()), switched=False)
    try:
        entry = pwd.getpwnam(unprivileged_user)
    except KeyError:
        raise EmbeddedPostgresError(
            f"PostgreSQL does not run as root, and there is no user {unprivileged_user!r} to run it as. "
            "Run flexlive as an ordinary user, or set FLEXLIVE_DATABASE_URL."
        ) from None
    return Account(entry.pw_uid, entry.pw_gid, frozenset(), switched=True)


def make_private_folder(path: Path, mode: int, *, owner_uid: int | None = None) -> None:
    """Create path with mode for owner_uid (us by default), or check that it is a real folder only its owner writes to.

    The check matters in shared folders, where a stranger could have made the name first. Raises EmbeddedPostgresError.
    """
    owner = os.geteuid() if owner_uid is None else owner_uid
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        entry = path.lstat()
        if not stat.S_ISDIR(entry.st_mode) or entry.st_uid not in (owner, os.geteuid()) or entry.st_mode & 0o022:
            raise EmbeddedPostgresError(f"{path} exists and is not a private folder of user {owner}") from None
        if entry.st_uid == owner:
            return
    else:
        path.chmod(mode)
    if owner != os.geteuid():
        os.chown(path, owner, -1, follow_symlinks=False)


def runtime_folder(account: Account, *, path_bytes_max: int = 60) -> Path:
    """Our own folder inside a shared one the account can enter, short enough for socket names. Made when missing."""
    for candidate in dict.fromkeys((tempfile.gettempdir(), *_SHARED_FOLDERS)):
        folder = Path(candidate) / f"flexlive-{os.geteuid()}"
        if len(os.fsencode(folder)) > path_bytes_max or not account.can_enter(Path(candidate)):
            continue
        try:
            make_private_folder(folder, 0o711)
        except (OSError, EmbeddedPostgresError):
            continue
        return folder
    raise EmbeddedPostgresError(f"no folder for sockets: none of {', '.join(_SHARED_FOLDERS)} can be used")
