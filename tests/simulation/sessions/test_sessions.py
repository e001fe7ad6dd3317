"""A driver's connection through everything that can happen to it: server and client as they are, on a deterministic
scheduler and clock."""

from __future__ import annotations

import pytest

from tests.simulation.sessions.running import STEPS, run

RUNS = 1_000


@pytest.mark.timeout(600)
def test_a_connection_survives_everything() -> None:
    """`python -m tests.simulation.sessions` runs more."""
    run(RUNS, STEPS)
