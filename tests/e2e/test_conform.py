"""`flexlive conform` says of this server that it conforms, and of a server that does not in which way it does not."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from flexlive import cli as command_line
from flexlive.lab.conform.run import SCENARIOS, judge
from flexlive.lab.conform.target import CannotJudgeError, Target, addresses
from flexlive.protocol.session import SessionLimits
from flexlive.web.driver_connection import ConnectionOptions
from flexlive.web.driver_socket import GatewayOptions
from flexlive.web.limits import HttpOptions
from tests.support import broken_backend as broken
from tests.support.http_server import serve
from tests.support.thorough import THOROUGH
from tests.support.world import SITE, build_world

DOCS = Path(__file__).parents[2] / "docs"
DRIVERS = 8
NEEDS_A_MINUTE = {"not-reading"}
"""The gate has no time for what waits for a stalled phone's buffers to fill."""

# Deadlines that a test can wait for.
QUICK = GatewayOptions(
    connection=ConnectionOptions(
        limits=SessionLimits(hello_deadline_seconds=0.5, heartbeat_seconds=1.0, unacked_close_seconds=4.0)
    ),
    tick_seconds=0.1,
)


@pytest.fixture
async def backend(database_url: str) -> AsyncIterator[tuple[Target, list[str]]]:
    """A right one with two drivers, and the tokens of all there are."""
    async with serve(database_url, gateway=QUICK, http=HttpOptions(requests_per_minute_max=0)) as server:
        world = await build_world(server.ctx, drivers=DRIVERS)
        socket_url, http_url = addresses(server.url)
        target = Target(
            socket_url=socket_url,
            http_url=http_url,
            tokens=tuple(world.driver_tokens[:2]),
            position=SITE,
            merchant_key=world.api_key,
            store=world.store.external_store_id,
        )
        yield target, world.driver_tokens


@pytest.fixture
def target(backend: tuple[Target, list[str]]) -> Target:
    return backend[0]


async def test_this_server_conforms(target: Target) -> None:
    names = {scenario.name for scenario in SCENARIOS}
    report = await judge(target, only=names if THOROUGH else names - NEEDS_A_MINUTE)
    assert [(each.name, each.detail) for each in report.scenarios if each.outcome == "failed"] == []
    assert [each.name for each in report.scenarios if each.outcome == "skipped"] == ["restart"]
    assert report.conforms


LIES: list[tuple[broken.Honest, str]] = [
    (broken.LosesFacts(), "counted"),
    (broken.RepeatsFacts(), "counted"),
    (broken.AnswersTwice(), "answered"),
    (broken.NeverAnswers(), "answered"),
    (broken.RewritesAnswers(), "same-bytes"),
    (broken.DecidesAgain(), "other-content"),
    (broken.ForgetsUnacked(), "unacked"),
    (broken.NeverResumes(), "resume"),
    (broken.ResumesOnce(), "resume"),
    (broken.NamesAllSessionsAlike(), "sessions-differ"),
    (broken.ForgetsSnapshots(), "welcome"),
    (broken.ShowsDeadOffers(), "dead-offer"),
    (broken.SpeaksBinary(), "welcome"),
    (broken.SaysNonsense(), "welcome"),
    (broken.FearsTheFuture(), "later-versions"),
    (broken.TakesAnything(), "no-message"),
    (broken.NeverSpeaksUp(), "silence"),
    (broken.KeepsBothPhones(), "replaced"),
    (broken.ClosesWithoutReason(), "no-token"),
]


ELSEWHERE = (SITE[0] + 1, SITE[1])
"""Where no offer comes, so that many may be judged at once."""


async def test_what_does_not_conform_is_named(backend: tuple[Target, list[str]]) -> None:
    target, tokens = backend
    # The proxy itself is not what they fail for.
    async with broken.lying(target.socket_url, broken.Honest()) as socket_url:
        honest = await judge(replace(target, socket_url=socket_url), only={name for _, name in LIES})
    assert [(each.name, each.detail) for each in honest.scenarios if each.outcome != "passed"] == []

    offers = {scenario.name for scenario in SCENARIOS if "offers" in scenario.needs}
    hasty = replace(target, answer_seconds_max=1.0, offer_seconds_max=2.0)
    lanes = [
        hasty,
        *(replace(hasty, tokens=tuple(tokens[at : at + 2]), position=ELSEWHERE) for at in range(2, DRIVERS, 2)),
    ]
    alone = [lie for lie in LIES if lie[1] in offers]
    rest = [lie for lie in LIES if lie[1] not in offers]
    shares = [alone, *(rest[at :: len(lanes) - 1] for at in range(len(lanes) - 1))]
    believed = await asyncio.gather(*(_believed(lane, share) for lane, share in zip(lanes, shares, strict=True)))
    assert [lie for lane in believed for lie in lane] == []


async def _believed(target: Target, lies: list[tuple[broken.Honest, str]]) -> list[tuple[str, str]]:
    """The lies that were not found out."""
    believed: list[tuple[str, str]] = []
    for lie, name in lies:
        async with broken.lying(target.socket_url, lie) as socket_url:
            [verdict] = (await judge(replace(target, socket_url=socket_url), only={name})).scenarios
        if verdict.outcome != "failed":
            believed.append((type(lie).__name__, name))
    return believed


async def test_the_command_line(target: Target, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def conform(url: str, *more: str) -> int:
        tokens = [*more, "conform", url, "--token", target.tokens[0], "--json", str(tmp_path / "report.json")]
        code = await asyncio.to_thread(
            command_line.cli, [*tokens[len(more) :], *more], result_action="return_int_as_exit_code_else_zero"
        )
        assert isinstance(code, int)
        return code

    some = ["--scenario", "welcome", "--scenario", "sync", "--scenario", "counted"]
    assert await conform(target.http_url, *some) == 0
    said = json.loads((tmp_path / "report.json").read_text())
    assert (said["passed"], said["failed"], said["skipped"]) == (2, 0, 1)
    async with broken.lying(target.socket_url, broken.ForgetsUnacked()) as socket_url:
        assert await conform(socket_url, "--scenario", "unacked") == 1
    [failed] = json.loads((tmp_path / "report.json").read_text())["scenarios"]
    assert failed["outcome"] == "failed"
    assert failed["evidence"]
    # Whoever files the report somewhere does not file secrets.
    told = capsys.readouterr().out + (tmp_path / "report.json").read_text()
    assert "Does not conform" in told
    assert target.tokens[0] not in told
    assert set(re.findall(r'"sid\\?":\\?"([^"\\]*)', told)) <= {"…"}


async def test_what_cannot_be_judged_is_said(target: Target) -> None:
    with pytest.raises(CannotJudgeError, match="token is refused"):
        await judge(replace(target, tokens=("fl_driver_testville_" + "A" * 43,)))
    with pytest.raises(CannotJudgeError, match="no WebSocket"):
        await judge(replace(target, socket_url="ws://127.0.0.1:9/v1/driver"))
    with pytest.raises(CannotJudgeError, match="no such scenario: nothing"):
        await judge(target, only={"nothing"})
    with pytest.raises(CannotJudgeError, match="no order could be placed: HTTP 404"):
        await judge(replace(target, store="no such store"), only={"counted"})
    with pytest.raises(CannotJudgeError, match="ended with 3: no stock"):
        await judge(replace(target, offer_command="echo no stock; exit 3"), only={"counted"})


@pytest.mark.parametrize(
    ("url", "socket_url", "http_url"),
    [
        ("https://host", "wss://host/v1/driver", "https://host"),
        ("http://host:8000/", "ws://host:8000/v1/driver", "http://host:8000"),
        ("wss://host/edge/v1/driver", "wss://host/edge/v1/driver", "https://host/edge"),
        ("host:8000", "ws://host:8000/v1/driver", "http://host:8000"),
    ],
)
def test_addresses(url: str, socket_url: str, http_url: str) -> None:
    assert addresses(url) == (socket_url, http_url)
    with pytest.raises(CannotJudgeError):
        addresses("ftp://host")


def test_the_documents_name_every_scenario() -> None:
    headings = set(re.findall(r"^##+ (.*)$", (DOCS / "driver-protocol.md").read_text(), re.MULTILINE))
    assert {scenario.section for scenario in SCENARIOS} <= headings
    table = re.findall(
        r"^\| `([a-z0-9-]+)` \| ([^|]+) \| ([^|]+) \|", (DOCS / "conformance.md").read_text(), re.MULTILINE
    )
    assert table == [(each.name, each.section, each.promise) for each in SCENARIOS]
    assert len({each.name for each in SCENARIOS}) == len(SCENARIOS)
