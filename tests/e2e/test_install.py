"""The installation of docs/deploy.md, which is also the image's, word by word in a fresh environment. It fetches what
is pinned from the package index, so it is no part of the usual run: TEST_THOROUGH=1."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.documents import block
from tests.support.thorough import THOROUGH

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not THOROUGH, reason="fetches packages: TEST_THOROUGH=1")
@pytest.mark.timeout(600)
def test_install(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("FLEXLIVE_", "PYTHON"))}
    said = subprocess.run(
        ["/bin/sh", "-eu", "-c", block("deploy.md", "install")],
        cwd=ROOT,
        env={**environment, "PREFIX": str(tmp_path / "flexlive")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    assert said.returncode == 0, said.stdout
    assert "broken" not in said.stdout
