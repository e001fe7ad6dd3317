"""How the machine is run."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.simulation.sessions.machine import DriverConnections

STEPS = 50


def run(runs: int, steps: int) -> None:
    """Raises what broke, with the shortest steps that lead to it."""
    checks = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)
    run_state_machine_as_test(
        DriverConnections,
        settings=settings(
            max_examples=runs,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            report_multiple_bugs=False,
            print_blob=False,
            suppress_health_check=checks,
        ),
    )
