"""A client in JavaScript, written from docs/driver-protocol.md alone, plays every scenario of `flexlive conform`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flexlive.lab.conform.run import SCENARIOS
from flexlive.lab.conform.target import addresses
from flexlive.protocol.session import SessionLimits
from flexlive.web.driver_connection import ConnectionOptions
from flexlive.web.driver_socket import GatewayOptions
from flexlive.web.limits import HttpOptions
from tests.support import broken_backend as broken
from tests.support.http_server import serve
from tests.support.node import NODE_DIR, node_modules, run_node
from tests.support.server_process import running_server
from tests.support.thorough import THOROUGH
from tests.support.world import SITE, build_world, open_test_context

RUNNER = NODE_DIR / "scenarios" / "run.js"
DRIVERS = 12
SECONDS_MAX = 100
STALL_MS = 20_000 if THOROUGH else 1_500
"""How long the phone that does not read does not read."""
NEEDS_A_RESTART = {scenario.name for scenario in SCENARIOS if "restart" in scenario.needs}

# Deadlines that a test can wait for.
QUICK = GatewayOptions(
    connection=ConnectionOptions(
        limits=SessionLimits(hello_deadline_seconds=0.5, heartbeat_seconds=2.0, unacked_close_seconds=3.0)
    ),
    tick_seconds=0.1,
)


@dataclass(frozen=True)
class Runner:
    """target: what run.js is told, beside what a test adds."""

    target: dict[str, Any]

    async def judge(self, **more: Any) -> tuple[int, list[dict[str, Any]]]:
        """Exit code, and what was said of each scenario."""
        process = await asyncio.create_subprocess_exec(
            "node", str(RUNNER), cwd=NODE_DIR,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(SECONDS_MAX):
                out, err = await process.communicate(json.dumps({**self.target, **more}).encode())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert err == b"", err.decode()
        assert process.returncode is not None
        return process.returncode, [json.loads(line) for line in out.splitlines()]


@pytest.fixture
async def runner(database_url: str) -> AsyncIterator[Runner]:
    """For a right server with drivers for several scenarios at once."""
    node_modules()
    async with serve(database_url, gateway=QUICK, http=HttpOptions(requests_per_minute_max=0)) as server:
        world = await build_world(server.ctx, drivers=DRIVERS)
        socket_url, http_url = addresses(server.url)
        yield Runner(
            {
                "socket_url": socket_url,
                "http_url": http_url,
                "tokens": world.driver_tokens,
                "position": SITE,
                "merchant_key": world.api_key,
                "store": world.store.external_store_id,
                "stall_ms": STALL_MS,
            }
        )


async def test_the_document_suffices(runner: Runner) -> None:
    code, said = await runner.judge()
    assert [each for each in said if not each["ok"]] == []
    assert {each["name"] for each in said} == {scenario.name for scenario in SCENARIOS}
    assert {each["name"] for each in said if each.get("skipped")} == NEEDS_A_RESTART
    assert len(said) == len(SCENARIOS)
    assert code == 0


LIES: list[tuple[broken.Honest, str]] = [
    (broken.LosesFacts(), "counted"),
    (broken.RepeatsFacts(), "counted"),
    (broken.AnswersTwice(), "answered"),
    (broken.RewritesAnswers(), "same-bytes"),
    (broken.DecidesAgain(), "other-content"),
    (broken.ForgetsUnacked(), "unacked"),
    (broken.NeverResumes(), "resume"),
    (broken.SpeaksBinary(), "welcome"),
    (broken.KeepsBothPhones(), "replaced"),
]
"""What the server gets wrong, and where it is noticed."""

MISTAKES = {
    "renames-repeats": "lost-answer",
    "never-acknowledges": "counted",
    "never-resumes": "resume",
    "miscounts": "dead-offer",
}
"""What a client gets wrong, and where it is noticed."""


async def test_what_is_wrong_is_noticed(runner: Runner) -> None:
    hasty = {"answer_ms": 1_000, "offer_ms": 3_000}
    async with AsyncExitStack() as stack:
        at = [
            {
                "name": name,
                "socket_url": await stack.enter_async_context(broken.lying(runner.target["socket_url"], lie)),
            }
            for lie, name in LIES
        ]
        tokens = runner.target["tokens"]
        runs = [runner.judge(at=at, tokens=tokens[: -2 * len(MISTAKES)], **hasty)]
        for nth, (mistake, name) in enumerate(MISTAKES.items(), 1):
            pair = tokens[len(tokens) - 2 * nth :][:2]
            runs.append(runner.judge(only=[name], broken=mistake, tokens=pair, **hasty))
        (code, lied), *mistaken = await asyncio.gather(*runs)
    believed = {each["socket_url"] for each in lied if each["ok"]}
    assert [type(lie).__name__ for (lie, _), each in zip(LIES, at, strict=True) if each["socket_url"] in believed] == []
    assert (code, len(lied)) == (1, len(LIES))
    assert [(code, [each["ok"] for each in said]) for code, said in mistaken] == [(1, [False])] * len(MISTAKES)


async def test_the_client_by_itself() -> None:
    """Against a server that makes trouble, and against the golden transcripts."""
    node_modules()
    files = sorted(str(path) for path in (NODE_DIR / "unit").glob("*.test.js"))
    assert len(files) >= 2
    done = await asyncio.to_thread(run_node, "--test", "--test-reporter=spec", *files, cwd=NODE_DIR)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not THOROUGH, reason="a restart takes longer than the gate has")
async def test_a_restart(database_url: str, tmp_path: Path) -> None:
    node_modules()
    async with open_test_context(database_url) as ctx:
        world = await build_world(ctx, drivers=1)
    asked, done = tmp_path / "asked", tmp_path / "done"
    async with running_server(database_url, tmp_path) as server:
        runner = Runner(
            {
                "socket_url": server.socket_url,
                "http_url": server.url,
                "tokens": world.driver_tokens,
                "position": SITE,
                "restart_command": f"touch {asked}; while [ ! -e {done} ]; do sleep 0.1; done",
            }
        )
        judging = asyncio.create_task(runner.judge(only=sorted(NEEDS_A_RESTART)))
        while not asked.exists() and not judging.done():
            await asyncio.sleep(0.05)
        await server.stop()
        await server.start()
        done.touch()
        code, said = await judging
    assert [(each["name"], each["ok"], each.get("skipped")) for each in said] == [("restart", True, None)], said
    assert code == 0


def test_no_file_is_too_long() -> None:
    files = [path for folder in ("client", "scenarios", "unit") for path in sorted((NODE_DIR / folder).rglob("*.js"))]
    assert files
    assert [path.name for path in files if len(Path(path).read_text().splitlines()) > 300] == []
