"""The files of one embedded PostgreSQL: its folder, password, configuration and sockets.

<home>/lock      held by the process that runs it      <home>/password  of the role flexlive, 0600
<home>/pgdata    the cluster, PostgreSQL's account      <home>/log       PostgreSQL's own words
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

from flexlive.storage.embedded_account import Account, make_private_folder, runtime_folder
from flexlive.storage.embedded_binaries import Binaries
from flexlive.storage.errors import DataDirectoryInUseError, EmbeddedPostgresError

ROLE = "flexlive"
DATABASE = "postgres"
PORT = 5432

_INITDB_TIMEOUT_SECONDS = 300.0
_LOG_BYTES_MAX = 8 * 1024 * 1024
# Conservative in memory; durable. jit and parallel workers only cost where every statement is short.
DEFAULT_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "60",
    "shared_buffers": "128MB",
    "max_wal_size": "512MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "password_encryption": "scram-sha-256",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    # Folders of one machine, mostly in memory.
    "random_page_cost": "1.1",
    # A fresh table without statistics misleads the planner into cached plans that filter whole markets.
    "autovacuum_naptime": "20s",
    # The supervisor takes a growing log for progress of crash recovery.
    "log_startup_progress_interval": "1s",
}


@dataclass(frozen=True, slots=True)
class Cluster:
    """One cluster's places on disk, as seen by us and by the account that runs it."""

    home: Path
    account: Account
    socket_dir: Path

    @property
    def pgdata(self) -> Path:
        return self.home / "pgdata"

    @property
    def log(self) -> Path:
        return self.home / "log"

    def dsn(self) -> str:
        """For asyncpg and libpq alike; holds the password."""
        password = (self.home / "password").read_text(encoding="ascii")
        where = urlencode({"host": str(self.socket_dir), "port": PORT})
        return f"postgresql://{ROLE}:{quote(password, safe='')}@/{DATABASE}?{where}"

    def remove_sockets(self) -> None:
        """Nothing of ours stays in the shared folder."""
        shutil.rmtree(self.socket_dir, ignore_errors=True)


def open_home(home: Path, account: Account) -> None:
    """Make the folder, or check that the account can enter it. Raises EmbeddedPostgresError."""
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    if account.can_enter(existing):
        home.parent.mkdir(parents=True, exist_ok=True)
        make_private_folder(home, 0o711 if account.switched else 0o700)
    if not account.can_enter(home):
        raise EmbeddedPostgresError(
            f"PostgreSQL runs as user {account.uid}, who cannot enter {home}; "
            "set FLEXLIVE_DATA_DIR to a folder that everybody may enter (as root, for example /var/lib/flexlive)"
        )


def lock_home(home: Path) -> int:
    """Take the home for this process; the descriptor holds it until closed. Raises DataDirectoryInUseError."""
    descriptor = os.open(home / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise DataDirectoryInUseError(
            f"{home} is in use by process {holder}; stop that one, or choose another data directory"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def open_cluster(home: Path, account: Account) -> Cluster:
    """The cluster of a locked home, with its socket folder made.

    Sockets live in a shared folder under a name derived from home: short however deep home is, the same at each start.
    """
    digest = hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:12]
    socket_dir = runtime_folder(account) / f"s-{digest}"
    account.make_folder(socket_dir)
    return Cluster(home, account, socket_dir)


def initialise(cluster: Cluster, binaries: Binaries, settings: Mapping[str, str]) -> None:
    """Create the cluster unless it exists; write the configuration of this start.

    initdb works beside the final name and is renamed last: a start killed half-way leaves nothing that looks whole.
    """
    if cluster.pgdata.exists():
        _check_version(cluster, binaries)
        if not (cluster.home / "password").exists():
            raise EmbeddedPostgresError(f"{cluster.home}/password is missing; put it back, or remove {cluster.home}")
    else:
        _initdb(cluster, binaries)
    _write_settings(cluster, settings)
    if cluster.log.exists() and cluster.log.stat().st_size > _LOG_BYTES_MAX:
        cluster.log.replace(cluster.home / "log.old")


def _check_version(cluster: Cluster, binaries: Binaries) -> None:
    found = (cluster.pgdata / "PG_VERSION").read_text(encoding="ascii").strip()
    if found != str(binaries.version):
        raise EmbeddedPostgresError(
            f"{cluster.home} was made by PostgreSQL {found}, not {binaries.version}: "
            "ask for that version, or dump and restore into a new data directory"
        )


def _initdb(cluster: Cluster, binaries: Binaries) -> None:
    for leftover in cluster.home.glob("pgdata.new-*"):
        shutil.rmtree(leftover)
    password = secrets.token_urlsafe(32)
    scratch = Path(tempfile.mkdtemp(prefix="pgdata.new-", dir=cluster.home))
    try:
        password_file = scratch / "password"
        password_file.write_text(password, encoding="ascii")
        password_file.chmod(0o600)
        cluster.account.hand_over(password_file)
        cluster.account.hand_over(scratch)
        _run_initdb(cluster, binaries, scratch / "pgdata", password_file)
        with (scratch / "pgdata" / "postgresql.conf").open("a", encoding="utf-8") as configuration:
            configuration.write("\ninclude_if_exists 'flexlive.conf'\n")
        _write_private(cluster.home / "password", password)
        (scratch / "pgdata").rename(cluster.pgdata)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _run_initdb(cluster: Cluster, binaries: Binaries, pgdata: Path, password_file: Path) -> None:
    locale = ["--locale-provider=builtin", "--locale=C.UTF-8"] if binaries.version >= 17 else ["--no-locale"]
    arguments = [
        binaries.program("initdb"),
        f"--pgdata={pgdata}",
        f"--username={ROLE}",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        *locale,
    ]
    status, output = cluster.account.run(arguments, timeout_seconds=_INITDB_TIMEOUT_SECONDS)
    if status != 0:
        raise EmbeddedPostgresError(f"initdb failed: {_complaint(output)}")


def _complaint(output: str) -> str:
    """The line of initdb's report that says what was wrong; its last one when none does."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    wrong = [line for line in lines if any(word in line.lower() for word in ("fatal:", "error:", "could not"))]
    return (wrong or lines or ["it said nothing"])[0 if wrong else -1]


def _write_settings(cluster: Cluster, settings: Mapping[str, str]) -> None:
    merged = {**DEFAULT_SETTINGS, "unix_socket_directories": str(cluster.socket_dir), **settings}
    lines = [f"{name} = '{_quoted(value)}'\n" for name, value in merged.items()]
    target = cluster.pgdata / "flexlive.conf"
    _write_private(target, "# Written by flexlive at each start.\n" + "".join(lines))
    cluster.account.hand_over(target)


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")


def _write_private(target: Path, text: str) -> None:
    scratch = target.with_name(f"{target.name}.new")
    scratch.unlink(missing_ok=True)
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(target)
