"""A conformance run: every scenario against one backend, and what came of it."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial

import httpx
from msgspec import Struct

from flexlive.lab.conform.bad_input import bad_input
from flexlive.lab.conform.bench import Bench
from flexlive.lab.conform.commanding import commanding
from flexlive.lab.conform.connecting import connecting
from flexlive.lab.conform.factual import facts, offers, pressure
from flexlive.lab.conform.heard import Broken, Ended
from flexlive.lab.conform.lifelines import heartbeats, stops, takeovers
from flexlive.lab.conform.opening import opening
from flexlive.lab.conform.scenario import Scenario, Verdict
from flexlive.lab.conform.target import CannotJudgeError, Target
from flexlive.protocol.limits import SUBPROTOCOL

_SCENARIO_SECONDS_MAX = 240.0
_EVIDENCE_FRAMES = 6
_EVIDENCE_CHARS = 400
_SID = re.compile(r'"sid":"[^"]*"')

SCENARIOS: tuple[Scenario, ...] = tuple(
    scenario
    for group in (connecting, bad_input, pressure, opening, facts, heartbeats, takeovers, offers, commanding, stops)
    for scenario in group.all
)


class Report(Struct, frozen=True, kw_only=True):
    """passed, failed, skipped: how many. scenarios: in the order of SCENARIOS."""

    target: str
    protocol: str
    passed: int
    failed: int
    skipped: int
    seconds: float
    scenarios: tuple[Verdict, ...]

    @property
    def conforms(self) -> bool:
        return self.failed == 0


async def judge(
    target: Target,
    *,
    only: Collection[str] | None = None,
    quick: bool = False,
    said: Callable[[Verdict], None] = lambda _: None,
) -> Report:
    """Play the scenarios. only: their names, else all; quick: without those that wait long.

    said is called with each verdict as it is reached. CannotJudgeError when the backend cannot be reached, refuses a
    token, or an offer cannot be made.
    """
    unknown = set(only or ()) - {scenario.name for scenario in SCENARIOS}
    if unknown:
        raise CannotJudgeError(f"no such scenario: {', '.join(sorted(unknown))}")
    chosen = [each for each in SCENARIOS if (only is None or each.name in only) and not (quick and each.slow)]
    began = time.monotonic()
    verdicts: dict[str, Verdict] = {}

    def tell(verdict: Verdict) -> None:
        verdicts[verdict.name] = verdict
        said(verdict)

    async with httpx.AsyncClient(
        base_url=target.http_url,
        timeout=target.answer_seconds_max,
        verify=target.tls() or True,
        trust_env=False,
    ) as http:
        await _probe(target, http)
        apart = [each for each in chosen if each.apart]
        rest = [each for each in chosen if not each.apart]
        alone = [each for each in rest if "second driver" in each.needs or "restart" in each.needs]
        with_one = [each for each in rest if each not in alone]
        if len(target.tokens) > 1:
            await asyncio.gather(
                _play_all(Bench(target, http, first=1), apart, tell), _play_all(Bench(target, http), with_one, tell)
            )
        else:
            await _play_all(Bench(target, http), [*apart, *with_one], tell)
        await _play_all(Bench(target, http), alone, tell)
    told = tuple(verdicts[each.name] for each in chosen)
    count = {outcome: sum(each.outcome == outcome for each in told) for outcome in ("passed", "failed", "skipped")}
    return Report(
        target=target.socket_url,
        protocol=SUBPROTOCOL,
        seconds=round(time.monotonic() - began, 1),
        scenarios=told,
        **count,
    )


async def _probe(target: Target, http: httpx.AsyncClient) -> None:
    bench = Bench(target, http)
    for driver in range(1, len(target.tokens) + 1):
        try:
            async with bench.socket(driver) as phone:
                await phone.send(phone.greeting())
                await phone.until(lambda _: True, "answer to hello")
        except Ended as end:
            if end.code in (4401, 4503, 4530):
                raise CannotJudgeError(f"driver {driver}: the token is refused, close code {end.code}") from None
        except Broken as broken:
            if str(broken).startswith("no WebSocket"):
                raise CannotJudgeError(f"{target.socket_url}: {broken}") from None


async def _play_all(bench: Bench, scenarios: Sequence[Scenario], tell: Callable[[Verdict], None]) -> None:
    for scenario in scenarios:
        tell(await _play(bench, scenario))


async def _play(bench: Bench, scenario: Scenario) -> Verdict:
    verdict = partial(Verdict, name=scenario.name, section=scenario.section, promise=scenario.promise)
    lacks = scenario.lacks(bench.target)
    if lacks is not None:
        return verdict(outcome="skipped", detail=lacks)
    bench.phones.clear()
    began = time.monotonic()
    detail = ""
    try:
        async with asyncio.timeout(_SCENARIO_SECONDS_MAX):
            await scenario.play(bench)
            if "offers" in scenario.needs:
                await bench.clean()
    except (Broken, Ended) as finding:
        detail = str(finding)
    except httpx.HTTPError as error:
        detail = f"over HTTP: {type(error).__name__}"
    except TimeoutError:
        detail = f"not through after {_SCENARIO_SECONDS_MAX:g} s"
    return verdict(
        outcome="failed" if detail else "passed",
        seconds=round(time.monotonic() - began, 2),
        detail=detail,
        evidence=_evidence(bench) if detail else (),
    )


def _evidence(bench: Bench) -> tuple[str, ...]:
    # The name of a session is a secret as long as it lives.
    frames = [heard.raw.decode() for phone in bench.phones for heard in phone.frames][-_EVIDENCE_FRAMES:]
    return tuple(_SID.sub('"sid":"…"', frame)[:_EVIDENCE_CHARS] for frame in frames)
