"""`flexlive demo` as people run it: a process of its own, judged by its summary and by what it leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.processes import alive, descendants

REPOSITORY = Path(__file__).parents[2]
STOP_SECONDS_MAX = 40.0


class Demo:
    """A running demo; everything it prints goes to a file, so that no pipe ever fills."""

    def __init__(self, tmp_path: Path, *arguments: str) -> None:
        self.output = tmp_path / "output.txt"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "flexlive", "demo", "--port", "0", "--view", "plain", *arguments],
                cwd=tmp_path,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def says(self, text: str, seconds_max: float = 60.0) -> None:
        """Waits until it has printed text."""
        deadline = time.monotonic() + seconds_max
        while text not in self.text:
            assert self.process.poll() is None, self.text
            assert time.monotonic() < deadline, f"never said {text!r}:\n{self.text}"
            time.sleep(0.02)

    @property
    def text(self) -> str:
        return self.output.read_text(errors="replace")


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[Demo]]:
    demos: list[Demo] = []
    yield demos
    for demo in demos:
        if demo.process.poll() is None:
            demo.process.send_signal(signal.SIGINT)
            try:
                demo.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                os.killpg(demo.process.pid, signal.SIGKILL)
                demo.process.wait()


def test_a_small_demo_is_clean_and_leaves_nothing_running(tmp_path: Path, started: list[Demo]) -> None:
    summary_path = tmp_path / "out.json"
    options = ("--drivers", "20", "--orders", "8", "--seconds", "4", "--speed", "240", "--seed", "3")
    demo = Demo(tmp_path, *options, "--json", str(summary_path))
    started.append(demo)
    demo.says("ordering begins")
    family = descendants(demo.process.pid)
    assert len(family) >= 4, "server, fleet, postmaster and its workers"
    assert demo.process.wait(100) == 0, demo.text

    summary: dict[str, Any] = msgspec.json.decode(summary_path.read_bytes())
    assert (summary["orders_created"], summary["double_accepts"], summary["tracking_holes"]) == (8, 0, 0), demo.text
    assert (summary["errors"], summary["violation_count"], summary["ok"]) == (0, 0, True), demo.text
    assert sum(summary["mishaps"].values()) == 2
    assert summary["orders_accepted"] >= 7
    assert summary["deliveries_delivered"] == summary["outcomes"].get("delivered", 0)
    assert sum(summary["outcomes"].values()) == 8
    assert (summary["orders_open"], summary["audit_findings"]) == (0, 0), demo.text
    assert summary["audit_checks"] >= 20
    assert summary["answers_checked"] >= summary["deliveries_delivered"] * 8
    assert summary["pilot"]["sent"] >= summary["pilot"]["seen"] >= summary["pilot"]["opted_in"]
    assert summary["tracking_events"] >= summary["deliveries_delivered"] * 6
    for figure in ("offer_push_ms", "accept_ms", "order_to_accept_ms"):
        assert 0 < summary[figure]["p50"] <= summary[figure]["p99"], figure
    assert summary["first_offer_seconds"] > 0
    assert "Clean:" in demo.text
    assert alive(family) == []


@pytest.mark.parametrize("moment", ["starting a PostgreSQL", "first offer on a phone"])
def test_ctrl_c_at_any_moment_ends_everything(tmp_path: Path, started: list[Demo], moment: str) -> None:
    demo = Demo(tmp_path, "--drivers", "10", "--orders", "20", "--seconds", "60")
    started.append(demo)
    demo.says(moment)
    time.sleep(0.2)
    family = descendants(demo.process.pid)
    assert family
    begun = time.monotonic()
    for _ in range(3):
        # An impatient finger must not interrupt the tidying up.
        demo.process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    assert demo.process.wait(STOP_SECONDS_MAX) == 130, demo.text
    assert time.monotonic() - begun < 15
    assert alive(family) == []
    assert "Traceback" not in demo.text


def test_what_cannot_be_played_is_said_in_one_line(tmp_path: Path, started: list[Demo]) -> None:
    demo = Demo(tmp_path, "--day", str(tmp_path / "nowhere"))
    started.append(demo)
    assert demo.process.wait(60) == 2
    assert "is not a folder" in demo.text
    assert "PostgreSQL" not in demo.text
    assert "Traceback" not in demo.text
