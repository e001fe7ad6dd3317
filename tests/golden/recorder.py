"""Acts scenes out with the client's own session and writes down what passes."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

from flexlive.app import drain
from flexlive.protocol import driver as wire
from flexlive.protocol.client_session import Answered, ClientSession, Effect, SendFrame
from flexlive.protocol.codec import encode_client
from tests.golden.stage import Stage, Wire
from tests.golden.transcript import RECEIVED, SENT, Line

QUIET_SECONDS = 0.6
"""Long enough for everything that follows from what was just said."""


def believing(hello: bytes, place: dict[str, str | int]) -> bytes:
    """The same hello with another place to resume from."""
    if not place:
        return hello
    changed = json.loads(hello)
    changed["resume"] |= place
    return json.dumps(changed, ensure_ascii=False, separators=(",", ":")).encode()


class Actor:
    """One phone of a scene. A session of the client's own decides what it says, except where it `writes`."""

    def __init__(self, scene: Scene, name: str, driver: str, device_id: str) -> None:
        self._scene, self.name, self._driver = scene, name, driver
        self._device_id = device_id
        self.session = ClientSession(app_version="1.0", device_id=device_id)
        self._wire: Wire | None = None
        self._at: tuple[float, float] | None = None
        self._believes: dict[str, str | int] = {}

    @property
    def route(self) -> wire.RouteView:
        [route] = self.session.state.routes.values()
        return route

    async def dials(self) -> None:
        self._wire = await self._scene.stage.connect(self._driver)
        self._scene.note(self.name, "connect", {"driver": self._driver} if self.name != self._driver else {})

    async def opens(self, at: tuple[float, float] | None) -> None:
        await self.dials()
        self._at = at
        hello = self.session.open(None if at is None else self._scene.point(at), self._now)
        await self._send(believing(hello, self._believes))
        self._believes = {}
        await self.rests()

    async def does(self, command: wire.Command) -> None:
        """A command, its answer and what follows."""
        await self._carry_out(self.session.command(command, self._now))
        await self._scene.everyone_rests()

    async def posts(self, command: wire.Command) -> None:
        """The command by HTTP instead, and what follows on the socket."""
        frame = encode_client(command).decode()
        answer = await self._scene.stage.post(self._driver, self._device_id, frame)
        told = {"device_id": self._device_id, "frame": json.loads(frame), "answer": json.loads(answer)}
        self._scene.note(self.name, "posts", told)
        await self._scene.everyone_rests()

    async def says(self, signal: wire.Signal) -> None:
        await self._carry_out(self.session.signal(signal, self._now))
        await self.rests()

    async def writes(self, *texts: str) -> None:
        """Exactly these frames, past the session."""
        for text in texts:
            await self._send(text.encode())
        await self.rests()

    async def acknowledges(self) -> None:
        await self._carry_out(self.session.tick(self._now + 1.0))
        await asyncio.sleep(0.1)

    async def rests(self) -> None:
        """Read what comes until nothing does."""
        await asyncio.sleep(QUIET_SECONDS)
        wire_ = self._open_wire
        while wire_.left():
            # Results first when both wait: either order is right, and one must be written down.
            text = await wire_.expect(result=bool(wire_.results))
            self._scene.write(Line(self.name, RECEIVED, json.loads(text)))
            await self._carry_out(self.session.received(text, self._now, 0.0))

    async def loses(self) -> None:
        await self._open_wire.lose()
        self._ended("lost", {})

    async def is_closed(self) -> None:
        code = await self._open_wire.closed()
        await self.rests()
        self._ended("closed", {"code": code})

    async def comes_back(self) -> None:
        await self.opens(self._at)

    async def meant(self, command: wire.Command) -> None:
        """A command given while there is no network; also again: an answer that never came."""
        self._scene.note(self.name, "meant", {"frame": json.loads(encode_client(command))})
        await self._carry_out(self.session.command(command, self._now))

    def misremembers(self, **place: str | int) -> None:
        """Its next hello says something else than it was told: `sid`, `epoch` or `seq`."""
        self._believes = place
        self._scene.note(self.name, "misremembers", place)

    def knows(self) -> None:
        state = self.session.state
        known = {
            "presence": state.presence,
            "offers": [str(offer_id) for offer_id in state.offers],
            "routes": [str(route_id) for route_id in state.routes],
        }
        self._scene.note(self.name, "knows", known)

    @property
    def connected(self) -> bool:
        return self._wire is not None

    @property
    def _open_wire(self) -> Wire:
        assert self._wire is not None
        return self._wire

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _ended(self, event: str, fields: dict[str, Any]) -> None:
        self._wire = None
        self.session.lost(self._now)
        self._scene.note(self.name, event, fields)

    async def _send(self, data: bytes) -> None:
        text = data.decode()
        self._scene.write(_sent(self.name, text))
        await self._open_wire.send(text)

    async def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case SendFrame(data=data):
                    await self._send(data)
                case Answered(result=result):
                    assert result.code != "rate_limited"
                case _:
                    pass


class Scene:
    """Lines are written down in the order in which they are said and read."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.lines: list[Line] = []
        self._actors: list[Actor] = []
        self.pincode = ""
        self.store_code = stage.world.store.handoff_code
        self._orders = 0

    async def comes(
        self,
        driver: str,
        at: tuple[float, float] | None = None,
        *,
        hello: bool = True,
        device_id: str | None = None,
        name: str | None = None,
    ) -> Actor:
        actor = Actor(self, name or driver, driver, device_id or f"{driver}-pixel")
        self._actors.append(actor)
        if hello:
            await actor.opens(at)
        else:
            await actor.dials()
        return actor

    async def offered(self, actor: Actor, **fields: Any) -> wire.OfferView:
        """Order a delivery and wait until it is on the actor's screen."""
        self._orders += 1
        known = set(actor.session.state.offers)
        asked = {"external_delivery_id": f"A-{1000 + self._orders}", "contact_name": "Marge", **fields}
        self.pincode = await self.stage.order(asked)
        self.note("", "order", {"fields": asked} | ({"pincode": self.pincode} if self.pincode else {}))
        while not (new := [offer for key, offer in actor.session.state.offers.items() if key not in known]):
            await actor.rests()
        return new[0]

    async def told(self, driver: str, seq: int) -> None:
        await self.stage.told(driver, seq)
        self.note(driver, "told", {"seq": seq})

    async def drain(self) -> None:
        self.note("", "drain", {})
        await drain(self.stage.server.app)

    async def everyone_rests(self) -> None:
        for actor in self._actors:
            if actor.connected:
                await actor.rests()

    async def ends(self) -> None:
        await self.everyone_rests()
        for actor in self._actors:
            actor.knows()
            if actor.connected:
                await actor.loses()

    def note(self, at: str, event: str, fields: dict[str, Any]) -> None:
        self.write(Line(at, event, fields))

    def write(self, line: Line) -> None:
        self.lines.append(line)

    def point(self, at: tuple[float, float]) -> wire.Point:
        return wire.Point(lat=at[0], lon=at[1], at=self.now(), accuracy_m=8.0)

    def now(self) -> datetime:
        now = datetime.now(UTC)
        return now.replace(microsecond=now.microsecond // 1000 * 1000)


def _sent(name: str, text: str) -> Line:
    """As a frame where that says it all: the same text comes out of it again."""
    try:
        frame = json.loads(text)
    except ValueError:
        return Line(name, SENT, {}, text)
    if isinstance(frame, dict) and json.dumps(frame, ensure_ascii=False, separators=(",", ":")) == text:
        return Line(name, SENT, frame)
    return Line(name, SENT, {}, text)
