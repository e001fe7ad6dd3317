"""The house rules a machine can check: rooms not too full, documents naming files that exist, nothing of a machine."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LINES_MAX = 300
_PACKAGES = "domain|protocol|realtime|storage|services|client|workers|web|lab"
_PATH_IN_WALK = re.compile(rf"`((?:{_PACKAGES})/[a-z_/]+)(?:\.[a-z_]+)?`")


def tracked(*patterns: str) -> list[Path]:
    """Files that git tracks, or would; the working tree where there is no git (an unpacked sdist)."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode == 0:
        return [ROOT / name for name in listed.stdout.split() if (ROOT / name).is_file()]
    return [path for pattern in patterns for path in ROOT.rglob(pattern) if ".venv" not in path.parts]


def test_no_file_is_too_long() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in tracked("*.py")
        if (count := len(path.read_text().splitlines())) > LINES_MAX
    }
    assert not long, f"over {LINES_MAX} lines: split by noun: {long}"


@pytest.mark.parametrize("document", ["README.md", "docs/architecture.md"])
def test_walks_name_files_that_exist(document: str) -> None:
    text = (ROOT / document).read_text()
    named = {match.group(1) for match in _PATH_IN_WALK.finditer(text)}
    assert len(named) >= 15, "the two walks are missing"
    package = ROOT / "src" / "flexlive"
    missing = [name for name in named if not (package / f"{name}.py").is_file() and not (package / name).is_dir()]
    assert not missing


def test_tree_in_readme_names_every_package() -> None:
    text = (ROOT / "README.md").read_text()
    packages = [path.parent.name for path in (ROOT / "src" / "flexlive").glob("*/__init__.py")]
    assert packages
    assert [name for name in packages if f"{name}/" not in text] == []


def test_nothing_names_a_download_host_or_a_machine() -> None:
    host = re.compile(r"https?://[^\s\"']*/(?:simple/|packages/[0-9a-f]{2}/)")
    machine = re.compile(r"(?:^|[^a-zA-Z0-9_.])/(?:work|root|home/[a-z]+)/")
    bad = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked()
        if path.suffix not in {".svg", ".png"} and path != Path(__file__)
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if host.search(line) or machine.search(line)
    ]
    assert not bad
    assert "uv.lock" in (ROOT / ".gitignore").read_text().split()


def test_lock_is_pinned_hashed_and_covers_the_project() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    pinned = re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE)
    # A line that is no hash, no marker and no pin would be an unpinned requirement.
    assert len(pinned) == len(re.findall(r"^[^\s#-]", lock, re.MULTILINE))
    assert lock.count("--hash=sha256:") >= len(pinned)
    project = (ROOT / "pyproject.toml").read_text()
    wanted = re.findall(r'^\s*"([A-Za-z0-9-]+)(?:\[[a-z]+\])?[><=]=', project, re.MULTILINE)
    assert {name.lower() for name in wanted} <= set(pinned)
