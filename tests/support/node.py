"""Node and what tests/node/package-lock.json pins, installed beside it once and whenever the lock has changed."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

import pytest

NODE_DIR: Final = Path(__file__).parents[1] / "node"
INSTALL_SECONDS_MAX: Final = 120
REQUIRED: Final = os.environ.get("FLEXLIVE_REQUIRE_NODE") == "1"


@cache
def node_modules() -> Path:
    """The folder with the installed packages. Skips the test where there is no npm, unless FLEXLIVE_REQUIRE_NODE=1."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        if REQUIRED:
            pytest.fail("no node and npm on this machine, and FLEXLIVE_REQUIRE_NODE=1")
        pytest.skip("no node and npm on this machine")
    modules = NODE_DIR / "node_modules"
    lock, installed = NODE_DIR / "package-lock.json", modules / ".of-this-lock"
    # Two runs on one machine must not install over each other.
    with (NODE_DIR / "package.json").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not installed.exists() or installed.read_bytes() != lock.read_bytes():
            done = subprocess.run(
                [npm, "ci"], cwd=NODE_DIR, capture_output=True, text=True, timeout=INSTALL_SECONDS_MAX, check=False
            )
            if done.returncode != 0:
                if REQUIRED:
                    pytest.fail(f"npm ci: {done.stderr}")
                pytest.skip("npm ci does not work here")
            installed.write_bytes(lock.read_bytes())
    return modules


def run_node(*arguments: str, cwd: Path, seconds_max: float = 100) -> subprocess.CompletedProcess[str]:
    """`node` with these arguments, to its end."""
    node = shutil.which("node")
    assert node is not None
    return subprocess.run([node, *arguments], cwd=cwd, capture_output=True, text=True, timeout=seconds_max, check=False)
