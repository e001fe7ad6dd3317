"""A disk that fills up: a tmpfs of a few megabytes, where the machine lets us mount one."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(size_bytes: int) -> Iterator[Path]:
    """Its root, open to every user; the test is skipped where nothing may be mounted."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small disk")
    with tempfile.TemporaryDirectory(prefix="flexlive-disk-") as folder:
        options = f"size={size_bytes},mode=0755"
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False
        )
        if mounted.returncode != 0:
            pytest.skip(f"cannot mount a small disk: {mounted.stderr.decode(errors='replace').strip()}")
        Path(folder).chmod(0o755)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "-l", folder], check=False)
