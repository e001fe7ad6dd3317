"""A backend that breaks the protocol in one way: a WebSocket proxy in front of a right one that tells one lie."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from flexlive.protocol.limits import SUBPROTOCOL

Frame = str | bytes


class Honest:
    """Passes everything on. One instance serves every connection of a run; a lie overrides what it lies about."""

    def up(self, frame: Frame) -> list[Frame]:
        """What the server hears instead of the phone's frame."""
        return [frame]

    def down(self, frame: str) -> list[Frame]:
        """What the phone hears instead of the server's frame."""
        return [frame]

    def close(self, code: int) -> int | None:
        """With which code the phone is closed; None: not at all."""
        return code


class LosesFacts(Honest):
    def __init__(self) -> None:
        self.facts = 0

    def down(self, frame: str) -> list[Frame]:
        if '"seq":' in frame[:8]:
            self.facts += 1
            return [] if self.facts % 2 else [frame]
        return [frame]


class RepeatsFacts(Honest):
    def down(self, frame: str) -> list[Frame]:
        return [frame, frame] if '"seq":' in frame[:8] else [frame]


class AnswersTwice(Honest):
    def down(self, frame: str) -> list[Frame]:
        return [frame, frame] if '"type":"result"' in frame else [frame]


class NeverAnswers(Honest):
    def down(self, frame: str) -> list[Frame]:
        return [] if '"type":"result"' in frame else [frame]


class RewritesAnswers(Honest):
    """The same answer in other bytes each time."""

    def __init__(self) -> None:
        self.answers = 0

    def down(self, frame: str) -> list[Frame]:
        if '"type":"result"' in frame:
            self.answers += 1
            return [frame.replace('"ok":', '"ok":' + " " * self.answers)]
        return [frame]


class DecidesAgain(Honest):
    """Knows no cmd it was sent before: every repetition reaches the server under a name of its own."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.sent = 0

    def up(self, frame: Frame) -> list[Frame]:
        message = json.loads(frame)
        if cmd := message.get("cmd"):
            self.sent += 1
            self.names[f"again-{self.sent}"] = cmd
            message["cmd"] = f"again-{self.sent}"
        return [json.dumps(message)]

    def down(self, frame: str) -> list[Frame]:
        for own, cmd in self.names.items():
            frame = frame.replace(f'"{own}"', f'"{cmd}"')
        return [frame]


class ForgetsUnacked(Honest):
    def up(self, frame: Frame) -> list[Frame]:
        message = json.loads(frame)
        if "unacked" in message:
            message["unacked"] = []
        return [json.dumps(message)]


class NeverResumes(Honest):
    def up(self, frame: Frame) -> list[Frame]:
        message = json.loads(frame)
        if "resume" in message:
            message["resume"] = None
        return [json.dumps(message)]


class ResumesOnce(NeverResumes):
    """As often as recovery is tried only for the first time."""

    def __init__(self) -> None:
        self.resumes = 0

    def up(self, frame: Frame) -> list[Frame]:
        if '"resume":{' not in str(frame):
            return [frame]
        self.resumes += 1
        return [frame] if self.resumes == 1 else super().up(frame)


class NamesAllSessionsAlike(Honest):
    def down(self, frame: str) -> list[Frame]:
        message = json.loads(frame)
        return [json.dumps(message | {"sid": "one-for-all"})] if "sid" in message else [frame]


class ForgetsSnapshots(Honest):
    def down(self, frame: str) -> list[Frame]:
        return [] if '"type":"snapshot"' in frame else [frame]


class ShowsDeadOffers(Honest):
    """Says the offer once more where it should say that it is gone."""

    def __init__(self) -> None:
        self.offers: dict[str, dict[str, object]] = {}

    def down(self, frame: str) -> list[Frame]:
        message = json.loads(frame)
        if message["type"] == "offer.open":
            self.offers[message["offer_id"]] = message
        elif message["type"] == "offer.gone" and message["offer_id"] in self.offers:
            return [json.dumps(self.offers[message["offer_id"]] | {"seq": message["seq"]})]
        return [frame]


class SpeaksBinary(Honest):
    def down(self, frame: str) -> list[Frame]:
        return [frame.encode()]


class SaysNonsense(Honest):
    def down(self, frame: str) -> list[Frame]:
        return [frame.replace('"server_time":"', '"server_time":"about ')]


class FearsTheFuture(Honest):
    def up(self, frame: Frame) -> list[Frame]:
        return ["{", frame] if "mood.update" in str(frame) else [frame]


class TakesAnything(Honest):
    def up(self, frame: Frame) -> list[Frame]:
        with contextlib.suppress(ValueError):
            if isinstance(json.loads(frame), dict):
                return [frame]
        return []


class NeverSpeaksUp(Honest):
    def down(self, frame: str) -> list[Frame]:
        return [] if frame == '{"type":"heartbeat"}' else [frame]


class KeepsBothPhones(Honest):
    def close(self, code: int) -> int | None:
        return None if code == 4509 else code


class ClosesWithoutReason(Honest):
    def close(self, code: int) -> int | None:
        return 1011 if code >= 4000 else code


@asynccontextmanager
async def lying(socket_url: str, lie: Honest) -> AsyncIterator[str]:
    """The address of the liar's driver socket."""

    async def serve_one(phone: ServerConnection) -> None:
        assert phone.request is not None
        query = phone.request.path.partition("?")[2]
        token = phone.request.headers.get("authorization")
        async with connect(
            socket_url + (f"?{query}" if query else ""),
            additional_headers={} if token is None else {"Authorization": token},
            subprotocols=None if phone.subprotocol is None else [phone.subprotocol],
            compression=None,
            proxy=None,
            max_size=None,
            close_timeout=1,
        ) as backend:
            asking = asyncio.create_task(_ask(phone, backend, lie))
            try:
                await _answer(phone, backend, lie)
            finally:
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)

    async with serve(
        serve_one, "127.0.0.1", 0, compression=None, max_size=None,
        select_subprotocol=_ours, close_timeout=1,
    ) as listening:  # fmt: skip
        port = next(iter(listening.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}/v1/driver"


def _ours(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return next((each for each in offered if each == SUBPROTOCOL), None)


async def _ask(phone: ServerConnection, backend: ClientConnection, lie: Honest) -> None:
    try:
        async for frame in phone:
            for each in lie.up(frame):
                await backend.send(each)
    except ConnectionClosed:
        pass
    await backend.close()


async def _answer(phone: ServerConnection, backend: ClientConnection, lie: Honest) -> None:
    try:
        while True:
            frame = await backend.recv(decode=True)
            for each in lie.down(str(frame)):
                await phone.send(each)
    except ConnectionClosed:
        code = lie.close(backend.close_code or 1006)
        if code is None:
            await phone.wait_closed()
        else:
            await phone.close(code if code != 1006 else 1011)
