"""The same runs at length: `python -m tests.simulation.sessions --runs 20000`. Stops at the first failure and prints
the shortest steps that lead to it."""

from __future__ import annotations

import argparse
import time

from tests.simulation.sessions.running import STEPS, run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.sessions", description=__doc__)
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--steps", type=int, default=STEPS)
    options = parser.parse_args()
    began = time.monotonic()
    run(options.runs, options.steps)
    print(f"{options.runs} runs of up to {options.steps} steps in {time.monotonic() - began:.0f} s, every law held")


if __name__ == "__main__":
    main()
