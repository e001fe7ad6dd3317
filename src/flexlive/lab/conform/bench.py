"""What every scenario has at hand: phones of the drivers, and a way to have an offer made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any
from uuid import uuid4

import httpx

from flexlive.lab.conform.dialling import dial
from flexlive.lab.conform.heard import Broken, Ended, Heard, Message, Opening, expect
from flexlive.lab.conform.phone import Phone
from flexlive.lab.conform.target import CannotJudgeError, Target

_RESUME_PAUSE_SECONDS = 0.3


class Bench:
    """phones: all that were dialled for the present scenario, for the evidence."""

    def __init__(self, target: Target, http: httpx.AsyncClient, *, first: int = 0) -> None:
        self.target, self.http = target, http
        self.phones: list[Phone] = []
        self._first = first
        self._run = uuid4().hex[:12]
        self._numbers = count(1)

    def token(self, driver: int = 1) -> str:
        """Driver 1 is the scenario's own; 2 the other one, where there is one."""
        return self.target.tokens[(driver - 1 + self._first) % len(self.target.tokens)]

    @asynccontextmanager
    async def socket(self, driver: int = 1, **how: Any) -> AsyncGenerator[Phone]:
        """Up, and nothing said yet."""
        async with dial(self.target, self.token(driver), **how) as phone:
            self.phones.append(phone)
            yield phone

    @asynccontextmanager
    async def stranger(self, **how: Any) -> AsyncGenerator[Phone]:
        """A socket without a token."""
        async with dial(self.target, None, **how) as phone:
            self.phones.append(phone)
            yield phone

    @asynccontextmanager
    async def live(
        self, driver: int = 1, *, resume: Message | None = None, unacked: list[str] | None = None, **how: Any
    ) -> AsyncGenerator[tuple[Phone, Opening]]:
        """Up, and hello answered."""
        async with self.socket(driver, **how) as phone:
            yield phone, await phone.hello(resume, unacked)

    def cmd(self) -> str:
        """A name no command had before."""
        return f"conform-{self._run}-{next(self._numbers)}"

    def online(self, mode: str = "online") -> Message:
        """A command that any driver may give and that is always decided."""
        return {"type": "presence.set", "cmd": self.cmd(), "mode": mode}

    def unknown_offer(self, cmd: str | None = None) -> Message:
        """A command about nothing: decided as `not_found`."""
        return {"type": "offer.decline", "cmd": cmd or self.cmd(), "offer_id": str(uuid4())}

    async def make_offer(self) -> None:
        """Have an offer made that the first driver may see. CannotJudgeError when the means fail."""
        if self.target.offer_command is not None:
            await shell(self.target.offer_command)
        else:
            await self._order()

    async def offer_on(self, phone: Phone) -> Message:
        """Have one made and wait until it is on this phone, which is online."""
        seen = {heard.message["offer_id"] for heard in phone.frames if heard.type.startswith("offer.")}
        await self.make_offer()
        return (
            await phone.until(lambda heard: _opens(heard, seen), "offer.open", self.target.offer_seconds_max)
        ).message

    async def go_online(self, phone: Phone) -> None:
        answer = await phone.command(self.online())
        expect(answer.message["ok"], f"presence.set is answered {answer.message['code']}")

    async def decline(self, phone: Phone, *offer_ids: str) -> None:
        """Off this driver's screen, so that the next scenario begins with fewer."""
        for offer_id in offer_ids:
            await phone.command({"type": "offer.decline", "cmd": self.cmd(), "offer_id": offer_id})
            await phone.acknowledge()

    async def clean(self, driver: int = 1, *, offers: bool = True) -> None:
        """Give back what was won; offers: and decline what is open."""
        async with self.live(driver) as (phone, opening):
            assert opening.snapshot is not None
            for route in opening.snapshot["routes"]:
                await phone.command(
                    {"type": "route.forfeit", "cmd": self.cmd(), "route_id": route["route_id"], "reason": "other"}
                )
                await phone.acknowledge()
            if offers:
                await self.decline(phone, *(offer["offer_id"] for offer in opening.snapshot["offers"]))

    async def replayed(self, resume: Message, wanted: str, **how: Any) -> tuple[Opening, Message]:
        """Come back until a replay holds a fact of the wanted type. Also returns what to resume from then."""
        async with asyncio.timeout(self.target.offer_seconds_max):
            while True:
                async with self.live(resume=resume, **how) as (phone, opening):
                    expect(opening.kind == "resumed", f"a resume within the window is answered by {opening.kind}")
                    if any(heard.type == wanted for heard in opening.facts):
                        assert phone.seq is not None
                        return opening, resume | {"seq": phone.seq}
                    resume = resume | {"seq": phone.seq}
                await asyncio.sleep(_RESUME_PAUSE_SECONDS)

    async def twin(self, device_id: str, message: Message) -> httpx.Response:
        """The same command over HTTP."""
        headers = {"authorization": f"Bearer {self.token()}", "flexlive-device": device_id}
        try:
            return await self.http.post("/v1/driver/commands", json=message, headers=headers)
        except httpx.HTTPError as error:
            raise Broken(f"POST /v1/driver/commands: {type(error).__name__}") from None

    async def _order(self) -> None:
        target = self.target
        if target.position is None or target.store is None:
            raise CannotJudgeError("--merchant-key needs --store and --position")
        order = {
            "external_delivery_id": f"conform-{uuid4().hex}",
            "external_store_id": target.store,
            "service_level": "express",
            "dropoff_address": "Conformance run",
            "dropoff_lat": target.position[0] + 0.01,
            "dropoff_lon": target.position[1],
            "contact_name": "Conformance run",
            "packages": [{"size": "small", "weight_grams": 500}],
        }
        headers = {"authorization": f"Bearer {target.merchant_key}"}
        try:
            answer = await self.http.post("/v1/deliveries", json=order, headers=headers)
        except httpx.HTTPError as error:
            raise CannotJudgeError(f"no order could be placed: {type(error).__name__}") from None
        if not answer.is_success:
            raise CannotJudgeError(f"no order could be placed: HTTP {answer.status_code} {answer.text[:200]}")


def resume_of(opening: Opening, phone: Phone) -> Message:
    """What the next hello of this session asks for."""
    return {"sid": opening.sid, "epoch": opening.answer.message["epoch"], "seq": phone.seq}


async def shell(command: str) -> None:
    """Run it to its end. CannotJudgeError with its last words when it fails."""
    process = await asyncio.create_subprocess_shell(
        command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    if process.returncode:
        words = said.decode(errors="replace").strip()[-200:]
        raise CannotJudgeError(f"`{command}` ended with {process.returncode}: {words}")


async def dropped(phone: Phone) -> None:
    """The network is gone: no close frame, nothing."""
    phone.connection.transport.abort()
    try:
        await phone.silence(1.0)
    except Ended:
        return


def _opens(heard: Heard, seen: set[str]) -> bool:
    return heard.type == "offer.open" and heard.message["offer_id"] not in seen
