"""Who a process has started, and who of them still lives. Reads /proc."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

PROC = Path("/proc")


class Known(NamedTuple):
    """A process: its start time tells it from a later one with the same pid."""

    pid: int
    started_at: int
    command: str


def descendants(pid: int) -> list[Known]:
    """Children of pid, theirs, and so on; the test is skipped where there is no /proc."""
    if not (PROC / "self" / "stat").exists():
        pytest.skip("needs /proc to see what a process leaves behind")
    parents = {entry: parent for entry in _pids() if (parent := _parent(entry)) is not None}
    family, grown = {pid}, True
    while grown:
        more = {child for child, parent in parents.items() if parent in family} - family
        family |= more
        grown = bool(more)
    return [known for member in family - {pid} if (known := _known(member)) is not None]


def alive(family: list[Known]) -> list[Known]:
    """Those who still run (a zombie nobody has waited for does not)."""
    # A process may rename itself (PostgreSQL shows what it does): pid and start time say who it is.
    now = {known.pid: known.started_at for member in family if (known := _known(member.pid)) is not None}
    return [known for known in family if now.get(known.pid) == known.started_at]


def _pids() -> list[int]:
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]


def _fields(pid: int) -> list[str] | None:
    """/proc/<pid>/stat from the state on; the name before it may hold blanks."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _parent(pid: int) -> int | None:
    fields = _fields(pid)
    return None if fields is None else int(fields[1])


def _known(pid: int) -> Known | None:
    fields = _fields(pid)
    if fields is None or fields[0] == "Z":
        return None
    try:
        command = (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:120]
    except OSError:
        return None
    return Known(pid, int(fields[19]), command)
