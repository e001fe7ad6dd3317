"""Figures of several processes: added up, also after some of them have ended."""

from __future__ import annotations

import importlib
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry, Gauge
from prometheus_client.multiprocess import MultiProcessCollector

import flexlive
from flexlive.processes.figures import FOLDER_VARIABLE, Figures

COUNTING = """
from prometheus_client import Counter, Gauge, Histogram
Counter("x_total", "x", ["m"]).labels("a").inc({0})
Gauge("open_sockets", "x", multiprocess_mode="livesum").set({0})
Histogram("took_seconds", "x", buckets=(1.0,)).observe({0})
import os; print(os.getpid())
"""


def count(folder: Path, amount: int) -> int:
    """A process that counted, and has ended; its pid."""
    environ = {**os.environ, FOLDER_VARIABLE: str(folder)}
    ended = subprocess.run(
        [sys.executable, "-c", COUNTING.format(amount)], env=environ, capture_output=True, text=True, check=True
    )
    return int(ended.stdout)


def read(folder: Path) -> dict[str, float]:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(folder))
    return {sample.name: sample.value for metric in registry.collect() for sample in metric.samples}


def test_what_a_process_counted_stays_and_what_it_held_goes() -> None:
    figures = Figures()
    try:
        first, second = count(figures.folder, 3), count(figures.folder, 4)
        assert (read(figures.folder)["x_total"], read(figures.folder)["open_sockets"]) == (7, 7)
        figures.process_ended(first)
        said = read(figures.folder)
        assert (said["x_total"], said["open_sockets"], said["took_seconds_sum"]) == (7, 4, 7)
        figures.process_ended(second)
        figures.process_ended(second)
        third = count(figures.folder, 5)
        said = read(figures.folder)
        assert (said["x_total"], said["open_sockets"], said["took_seconds_count"]) == (12, 5, 3)
        figures.process_ended(third)
        assert {path.name for path in figures.folder.iterdir()} == {"counter_0.db", "histogram_0.db"}
    finally:
        figures.close()
    assert not figures.folder.exists()


def test_every_gauge_says_how_processes_add_up() -> None:
    for module in pkgutil.walk_packages(flexlive.__path__, "flexlive."):
        if not module.name.endswith(("__main__", "push_fcm", "push_apns", "push_web")):
            importlib.import_module(module.name)
    gauges = [each for each in set(REGISTRY._collector_to_names) if isinstance(each, Gauge)]
    assert len(gauges) > 5
    assert [each._name for each in gauges if not each._multiprocess_mode.startswith("live")] == []
