"""Which processes a server consists of: read from /proc, for whoever measures or hurts them."""

from __future__ import annotations

from pathlib import Path


def descendants(ancestor: int) -> list[tuple[int, list[str]]]:
    """Pid and command line of every living process below this one, lowest pid first; none where there is no /proc."""
    parents: dict[int, int] = {}
    words: dict[int, list[str]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            pid = int(entry.name)
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                parents[pid] = int(parent)
                words[pid] = (entry / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
        except OSError:
            # It has just ended.
            continue

    def below(pid: int) -> bool:
        while (pid := parents.get(pid, 0)) > 1:
            if pid == ancestor:
                return True
        return False

    return [(pid, words[pid]) for pid in sorted(words) if below(pid)]


def server_processes(parent: int) -> list[int]:
    """Pids of those that serve, of `flexlive serve --processes N` with this pid; oldest first."""
    return [pid for pid, words in descendants(parent) if "serve-process" in words]


def lives(pid: int) -> bool:
    """Whether the process is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
