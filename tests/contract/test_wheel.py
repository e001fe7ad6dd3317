"""What is built is what works: the wheel, installed elsewhere, runs `flexlive doctor` with its own SQL."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
BUILD_SECONDS_MAX = 120


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("wheel")
    # Without isolation: the build backend is one of the dev dependencies, so nothing is downloaded.
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(ROOT)],
        check=True,
        capture_output=True,
        timeout=BUILD_SECONDS_MAX,
    )
    [built] = target.glob("*.whl")
    return built


def test_the_wheel_carries_sql_and_pages(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in [*(ROOT / "sql").rglob("*.sql")]:
        assert f"flexlive/{path.relative_to(ROOT)}" in names
    static = ROOT / "src" / "flexlive" / "web" / "static"
    for path in static.rglob("*"):
        assert path.is_dir() or f"flexlive/web/static/{path.relative_to(static)}" in names
    assert not [name for name in names if name.startswith(("tests/", "load_tests/"))]


@pytest.mark.timeout(240)
def test_doctor_runs_from_the_installed_wheel(wheel: Path, tmp_path: Path) -> None:
    """Installed under a prefix of its own; only its dependencies come from the environment of the tests."""
    prefix = tmp_path / "elsewhere"
    subprocess.run([sys.executable, "-m", "installer", "--prefix", str(prefix), str(wheel)], check=True, timeout=60)
    [package] = prefix.rglob("flexlive/__init__.py")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FLEXLIVE_")}
    # Before the checkout that the tests run from.
    environment["PYTHONPATH"] = str(package.parent.parent)
    where = [sys.executable, "-c", "import flexlive; print(flexlive.__file__)"]
    found = subprocess.run(where, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == str(package)
    doctor = subprocess.run(
        [str(prefix / "bin" / "flexlive"), "doctor"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr
    assert "broken" not in doctor.stdout
