"""Where the figures of all processes meet: each writes files of its own in one folder, and whoever is asked adds up."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Final

from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import mark_process_dead  # pyright: ignore[reportUnknownVariableType]

FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
_SUMS: Final = ("counter", "histogram")


class Figures:
    """The folder lives as long as the parent: figures count from its start, over all processes since."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="flexlive-figures-"))

    def process_ended(self, pid: int) -> None:
        """What it held is gone; what it counted stays, in one file for all that have ended."""
        mark_process_dead(pid, str(self.folder))  # type: ignore[no-untyped-call]
        for kind in _SUMS:
            _add(self.folder / f"{kind}_{pid}.db", self.folder / f"{kind}_0.db")

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def _add(ended: Path, total: Path) -> None:
    if not ended.exists():
        return
    fresh = total.with_suffix(".new")
    if total.exists():
        shutil.copyfile(total, fresh)
    sums = MmapedDict(str(fresh))  # type: ignore[no-untyped-call]
    for key, value, timestamp, _ in MmapedDict.read_all_values_from_file(str(ended)):  # type: ignore[no-untyped-call]
        before, _ = sums.read_value(key)  # type: ignore[no-untyped-call]
        sums.write_value(key, before + value, timestamp)  # type: ignore[no-untyped-call]
    sums.close()  # type: ignore[no-untyped-call]
    # Next to each other: a reader between the two would see the ended process twice, or not at all.
    ended.unlink()
    fresh.replace(total)
