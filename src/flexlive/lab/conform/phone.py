"""A driver's socket with nothing between the scenario and the frames; every frame heard is held to the protocol.

Of the client library nothing is used here: what judges a backend must not share its mistakes with a client.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from flexlive.lab.conform.heard import FACTS, Broken, Ended, Heard, Message, Opening, expect, judged
from flexlive.lab.conform.target import Target

ABNORMAL_CLOSURE = 1006
_AGAIN_SECONDS = 0.6


def now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


class Phone:
    """One connection. frames: everything heard; seq: of the last fact or snapshot."""

    def __init__(self, connection: ClientConnection, target: Target, device_id: str) -> None:
        self.connection = connection
        self.device_id = device_id
        self.frames: list[Heard] = []
        self.seq: int | None = None
        self._target = target
        self._waiting: list[Heard] = []
        self._unanswered: Counter[object] = Counter()

    # Out

    async def send(self, message: Message | str | bytes) -> None:
        """A dict as JSON, text as it is, bytes as a text frame whatever they are."""
        frame = json.dumps(message, separators=(",", ":")) if isinstance(message, dict) else message
        if isinstance(message, dict):
            self._unanswered[message.get("cmd")] += 1
        # A closed socket is told by what is read from it.
        with suppress(ConnectionClosed):
            await self.connection.send(frame, text=True)

    async def send_raw(self, cmd: str, text: str) -> None:
        """A command in words of its own."""
        self._unanswered[cmd] += 1
        await self.send(text)

    async def hello(
        self,
        resume: Message | None = None,
        unacked: list[str] | None = None,
        behind: list[Message] | None = None,
        **more: Any,
    ) -> Opening:
        """Say hello and read its whole answer. behind: frames sent at once after it."""
        await self.send(self.greeting(resume, unacked, **more))
        for message in behind or ():
            await self.send(message)
        answer = await self._next()
        match answer.type:
            case "welcome" | "reset":
                self.seq = answer.message["seq"]
                snapshot = await self._next()
                expect(snapshot.type == "snapshot", f"{answer.type} is followed by {snapshot.type}, not by snapshot")
                return Opening(answer=answer, snapshot=snapshot.message)
            case "resumed":
                return Opening(answer=answer, facts=await self._replay(answer.message, resume))
            case other:
                raise Broken(f"hello is answered by {other}")

    def greeting(self, resume: Message | None = None, unacked: list[str] | None = None, **more: Any) -> Message:
        """A hello of this phone."""
        hello: Message = {"type": "hello", "app_version": "flexlive-conform", "device_id": self.device_id}
        if self._target.position is not None:
            lat, lon = self._target.position
            hello["position"] = {"lat": lat, "lon": lon, "at": now(), "accuracy_m": 5.0}
        return hello | {"resume": resume, "inbox_seq": 0, "unacked": unacked or []} | more

    async def command(self, message: Message) -> Heard:
        """Send it and read until its answer. A `rate_limited` one is sent again in its time."""
        while True:
            await self.send(message)
            answer = await self.result(message["cmd"])
            if answer.message["code"] != "rate_limited":
                return answer
            await asyncio.sleep(answer.message.get("retry_after_ms", 1000) / 1000)

    # In

    async def result(self, cmd: str) -> Heard:
        return await self.until(
            lambda heard: heard.type == "result" and heard.message["cmd"] == cmd, f"result of {cmd}"
        )

    async def type(self, type_: str, seconds: float | None = None) -> Message:
        """The next frame of this type."""
        return (await self.until(lambda heard: heard.type == type_, type_, seconds)).message

    async def until(self, wanted: Callable[[Heard], bool], name: str, seconds: float | None = None) -> Heard:
        """The first frame not yet taken that is wanted; others stay for later. Broken when it does not come."""
        for index, heard in enumerate(self._waiting):
            if wanted(heard):
                return self._waiting.pop(index)
        seconds = self._target.answer_seconds_max if seconds is None else seconds
        try:
            async with asyncio.timeout(seconds):
                while True:
                    heard = await self._read()
                    if wanted(heard):
                        return heard
                    self._waiting.append(heard)
        except TimeoutError:
            raise Broken(f"no {name} within {seconds:g} s") from None

    async def silence(self, seconds: float) -> list[Heard]:
        """Whatever comes within this time."""
        before = len(self.frames)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    self._waiting.append(await self._read())
        return self.frames[before:]

    async def ended(self, *codes: int, seconds: float | None = None) -> None:
        """Read until the server closes, which must be with one of the codes."""
        seconds = self._target.answer_seconds_max if seconds is None else seconds
        wanted = " or ".join(map(str, codes))
        try:
            async with asyncio.timeout(seconds):
                while True:
                    await self._read()
        except TimeoutError:
            raise Broken(f"not closed within {seconds:g} s; {wanted} was due") from None
        except Ended as end:
            expect(end.code in codes, f"closed {end.code}, {wanted} was due")

    def forget(self, type_: str) -> None:
        """What came of this type and was not taken is of no interest any more."""
        self._waiting = [heard for heard in self._waiting if heard.type != type_]

    async def shows_presence(self, mode: str) -> None:
        """A snapshot says so, if need be a little later: what a command causes may come after its answer."""
        deadline = asyncio.get_running_loop().time() + self._target.answer_seconds_max
        while True:
            await self.send({"type": "sync"})
            presence = (await self.type("snapshot"))["presence"]
            if presence == mode:
                return
            expect(asyncio.get_running_loop().time() < deadline, f"the last command said {mode}, snapshots {presence}")
            await asyncio.sleep(_AGAIN_SECONDS)

    async def acknowledge(self) -> None:
        """Every fact heard so far."""
        await self.send({"type": "ack", "seq": self.seq})

    async def alive(self) -> None:
        """The connection still answers."""
        self.forget("snapshot")
        await self.send({"type": "sync"})
        await self.type("snapshot")

    async def _next(self) -> Heard:
        return await self.until(lambda _: True, "frame")

    async def _replay(self, resumed: Message, resume: Message | None) -> tuple[Heard, ...]:
        expect(resume is not None, "resumed, though nothing was to be resumed")
        assert resume is not None
        expect(resumed["from"] == resume["seq"], f"resumed from {resumed['from']} instead of {resume['seq']}")
        self.seq = resume["seq"]
        facts: list[Heard] = []
        while (heard := await self._next()).type != "live":
            expect(heard.type in FACTS, f"{heard.type} in the middle of a replay")
            facts.append(heard)
        expect(self.seq == resumed["to"], f"the replay ends at {self.seq}, resumed said {resumed['to']}")
        return tuple(facts)

    async def _read(self) -> Heard:
        try:
            frame = await self.connection.recv()
        except ConnectionClosed as closed:
            end = closed.rcvd
            raise Ended(ABNORMAL_CLOSURE if end is None else end.code, "" if end is None else end.reason) from None
        heard = judged(frame)
        self.frames.append(heard)
        if heard.type in FACTS and self.seq is not None:
            seq = heard.message["seq"]
            expect(seq == self.seq + 1, f"fact {heard.type} has seq {seq} after {self.seq}")
            self.seq = seq
        elif heard.type == "result":
            cmd = heard.message["cmd"]
            self._unanswered[cmd] -= 1
            expect(self._unanswered[cmd] >= 0, f"{cmd} is answered more often than it was sent")
        elif heard.type == "snapshot":
            expect(
                self.seq in (None, heard.message["seq"]), f"snapshot at {heard.message['seq']} after fact {self.seq}"
            )
        return heard
