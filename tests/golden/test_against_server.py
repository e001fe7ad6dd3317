"""Every golden transcript is said again to the real server, and the server must answer as it did."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from flexlive.app import drain
from tests.conftest import with_database
from tests.golden import stage, transcript
from tests.golden.stage import Stage, Wire, set_stage, time_now
from tests.golden.transcript import RECEIVED, SENT, Line, Mismatch, Names
from tests.support.http_server import Server, serve

pytestmark = pytest.mark.asyncio(loop_scope="module")
LAST = "server_stops"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(postgres_dsn: str, database_stock: Any) -> AsyncIterator[Server]:
    """One for all of them; each transcript has a market of its own."""
    name = await database_stock.take()
    async with serve(with_database(postgres_dsn, name)) as running:
        yield running
    await database_stock.give_back(name)


def as_text(frame: Any) -> str:
    return json.dumps(frame, ensure_ascii=False, separators=(",", ":"))


class Replay:
    def __init__(self, stage_: Stage) -> None:
        self._stage = stage_
        self._names = Names()
        self._wires: dict[str, Wire] = {}
        self._said: dict[tuple[str, str], str] = {}
        # The text of the first result of each command: a later one must be the same bytes.
        self._answers: dict[tuple[str, str, str], str] = {}

    async def play(self, line: Line) -> None:
        match line.what:
            case "market":
                self._names.bind_id(line.body["store_code"], self._stage.world.store.handoff_code)
            case "order":
                pincode = await self._stage.order(line.body["fields"])
                if "pincode" in line.body:
                    self._names.bind_id(line.body["pincode"], pincode)
            case "connect":
                self._wires[line.at] = await self._stage.connect(line.body.get("driver", line.at))
            case "told":
                await self._stage.told(line.at, line.body["seq"])
            case "lost":
                await self._hang_up(line.at).lose()
            case "closed":
                code = await self._wires[line.at].closed()
                assert code == line.body["code"], f"closed {code}"
                self._hang_up(line.at)
            case "drain":
                await drain(self._stage.server.app)
            case "client→server":
                text = self._text(line)
                if "cmd" in line.body:
                    self._said[line.at, line.body["cmd"]] = text
                await self._wires[line.at].send(text)
            case "server→client":
                await self._hear(line)
            case "posts":
                frame = self._names.translate(line.body["frame"], time_now())
                answer = await self._stage.post(line.at, line.body["device_id"], as_text(frame))
                self._check(line.at, line.body["answer"], answer)
            case "meant" | "misremembers" | "knows":
                pass  # What the app has in mind; the server only sees what it says.
            case _:
                raise ValueError(line.what)

    def _text(self, line: Line) -> str:
        if line.text is not None:
            return line.text
        return as_text(self._names.translate(line.body, time_now()))

    async def _hear(self, line: Line) -> None:
        is_result = line.body["type"] == "result"
        text = await self._wires[line.at].expect(result=is_result)
        while is_result and line.body["code"] != "rate_limited" and '"rate_limited"' in text:
            # A replay is faster than people are; it does what a client does.
            await asyncio.sleep(json.loads(text)["retry_after_ms"] / 1000)
            await self._wires[line.at].send(self._said[line.at, line.body["cmd"]])
            text = await self._wires[line.at].expect(result=True)
        self._check(line.at, line.body, text)

    def _check(self, who: str, then: dict[str, Any], text: str) -> None:
        try:
            self._names.match(then, json.loads(text))
        except Mismatch as error:
            raise Mismatch(f"{error} in {text}") from error
        if then["type"] == "result" and then["code"] not in ("rate_limited", "conflict", "invalid"):
            first = self._answers.setdefault((who, then["cmd"], then["code"]), text)
            assert first == text, f"the same answer in other bytes: {first}"

    def _hang_up(self, who: str) -> Wire:
        wire = self._wires.pop(who)
        assert not wire.left(), f"{who} was also told {wire.left()}"
        return wire


async def replay(server: Server, name: str, lines: list[Line]) -> None:
    [market, *rest] = lines
    play = Replay(await set_stage(server, f"{name.replace('_', '-')}-{uuid4().hex[:6]}", market.body["drivers"]))
    for number, line in enumerate(lines, start=1):
        try:
            if line.what == "lost":
                await asyncio.sleep(stage.QUIET_SECONDS)
            await play.play(line)
        except (AssertionError, TimeoutError) as error:
            raise Mismatch(f"{name}.jsonl line {number}, {transcript.shown(line)}: {error!r}") from error
    assert rest


@pytest.mark.parametrize(
    ("name", "change"),
    [("accept_race", {"code": "lost"}), ("resume", {"to": 4})],
)
async def test_a_changed_transcript_does_not_pass(server: Server, name: str, change: dict[str, Any]) -> None:
    """A transcript that says something else than the server does must not pass."""
    lines = transcript.load(name)
    [key] = change
    at = next(index for index, line in enumerate(lines) if line.what == RECEIVED and key in line.body)
    lines[at] = Line(lines[at].at, RECEIVED, lines[at].body | change)
    assert all(line.what != SENT or line.body or line.text for line in lines)
    with pytest.raises(Mismatch, match="line"):
        await replay(server, name, lines)


@pytest.mark.parametrize("name", sorted(transcript.names(), key=lambda name: name == LAST))
async def test_the_server_answers_as_it_did(server: Server, name: str) -> None:
    await replay(server, name, transcript.load(name))
