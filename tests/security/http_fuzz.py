"""Schemathesis against a running server: every described operation, with good credentials and with none, valid and
invalid requests made from what the server says of itself at /schema. A 5xx, or an answer the description does not
know, is a mistake of ours.

`python -m tests.security.http_fuzz --examples 200` runs it at length on a server of its own; see docs/testing.md.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.errors
import hypothesis.strategies
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis import GenerationMode

from tests.security.endpoints import Endpoint, credentials, values_of
from tests.support.cast import Cast

STREAMS = "/events"
"""Answers for ever; its own tests read it."""


@dataclass
class Findings:
    """What was sent and what came back."""

    statuses: Counter[int] = field(default_factory=Counter)
    operations: set[str] = field(default_factory=set)
    mistakes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Attack:
    """examples_max: of one operation and one kind of request. seed: None for always the same."""

    url: str
    cast: Cast
    examples_max: int
    seed: int | None = None
    operations: str = ""

    def run(self) -> Findings:
        found = Findings()
        schema = schemathesis.openapi.from_url(f"{self.url}/schema")
        with requests.Session() as session:
            session.trust_env = False
            for result in schema.get_all_operations():
                operation = result.ok()
                if operation.path.endswith(STREAMS) or self.operations not in operation.label:
                    continue
                found.operations.add(operation.label)
                for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                    for who, headers in self._credentials(operation):
                        self._attack(session, operation, mode, who, headers, found)
        return found

    def _credentials(self, operation: Any) -> Iterator[tuple[str, dict[str, str]]]:
        security = operation.definition.raw.get("security") or []
        names = [name for requirement in security for name in requirement]
        if names:
            yield names[0], {"authorization": f"Bearer {self._token(operation, names[0])}"}
        else:
            yield "nobody", {}

    def _token(self, operation: Any, who: str) -> str:
        return credentials(self.cast, Endpoint(operation.method.upper(), operation.path, who, None))

    def _attack(
        self,
        session: requests.Session,
        operation: Any,
        mode: GenerationMode,
        who: str,
        headers: dict[str, str],
        found: Findings,
    ) -> None:
        known = values_of(self.cast.here)

        @hypothesis.settings(
            max_examples=self.examples_max,
            derandomize=self.seed is None,
            database=None,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.given(
            case=operation.as_strategy(generation_mode=mode), true_to_life=hypothesis.strategies.booleans()
        )
        def one(case: Any, true_to_life: bool) -> None:
            if true_to_life:
                # With ids nobody has, every request would end at "not found".
                for name in case.path_parameters or {}:
                    case.path_parameters[name] = known.get(name, case.path_parameters[name])
            try:
                answer = case.call(base_url=self.url, session=session, headers=headers, timeout=20)
                if headers:
                    stranger = case.call(base_url=self.url, session=session, headers={"authorization": ""}, timeout=20)
                    if stranger.status_code not in {401, 404, 405}:
                        found.mistakes.append(f"{operation.label}: {stranger.status_code} for nobody")
            except (requests.exceptions.InvalidURL, requests.exceptions.InvalidHeader, UnicodeError):
                return  # no client can send that; tests/security/test_floods.py can
            found.statuses[answer.status_code] += 1
            what = f"{operation.label} ({mode.value}, {who})"
            described = operation.definition.raw["responses"]
            if answer.status_code >= 500:
                found.mistakes.append(f"{what}: {answer.status_code} for {case.as_curl_command()}")
            elif str(answer.status_code) not in described and answer.status_code not in {404, 405, 431}:
                found.mistakes.append(f"{what}: {answer.status_code} is not described, for {case.as_curl_command()}")

        # An operation that takes nothing has no invalid request.
        with contextlib.suppress(hypothesis.errors.Unsatisfiable):
            (one if self.seed is None else hypothesis.seed(self.seed)(one))()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.security.http_fuzz", description=__doc__)
    parser.add_argument("--examples", type=int, default=100, help="of each operation, kind of request and credentials")
    parser.add_argument("--seed", type=int, default=None, help="another run; without it, always the same one")
    parser.add_argument("--operations", default="", help="only those whose name contains this, as in `POST /v1/ops`")
    arguments = parser.parse_args()
    from flexlive.storage import migrations
    from flexlive.storage.embedded import EmbeddedOptions, EmbeddedPostgres
    from tests.security.conftest import start_live
    from tests.support.cast import cast

    with tempfile.TemporaryDirectory(prefix="flexlive-fuzz-") as folder, asyncio.Runner() as runner:
        embedded = EmbeddedPostgres(EmbeddedOptions())
        embedded.start_blocking()
        try:
            runner.run(migrations.migrate(embedded.dsn))
            everybody = runner.run(cast(embedded.dsn))
            child, live = runner.run(start_live(embedded.dsn, Path(folder), everybody))
            began = time.monotonic()
            found = Attack(live.url, everybody, arguments.examples, arguments.seed, arguments.operations).run()
            complaints = live.complaints()
            runner.run(child.stop())
        finally:
            embedded.stop_blocking()
    lines = [
        f"{sum(found.statuses.values())} requests to {len(found.operations)} operations",
        f"in {time.monotonic() - began:.0f} s",
        "  ".join(f"{status}: {count}" for status, count in sorted(found.statuses.items())),
        *found.mistakes,
        *complaints,
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if found.mistakes or complaints else 0


if __name__ == "__main__":
    sys.exit(main())
