"""`python -m load_tests NAME …`: one module per figure."""

from __future__ import annotations

import resource
import sys

from load_tests import bad_link, race, rolling, stalled, storm

TESTS = {
    "race": race.main,
    "bad_link": bad_link.main,
    "stalled": stalled.main,
    "storm": storm.main,
    "rolling": rolling.main,
}


def main() -> int:
    if len(sys.argv) < 2 or sys.argv[1] not in TESTS:
        print(f"usage: python -m load_tests {{{' | '.join(TESTS)}}} [options]", file=sys.stderr)
        return 2
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return TESTS[sys.argv[1]](sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
