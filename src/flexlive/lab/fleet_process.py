"""The demo's end of the fleet: starts the process, tells it things, books what it says."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never
from uuid import UUID

import msgspec

from flexlive.lab.book import Book
from flexlive.lab.fleet_messages import (
    LINE_BYTES_MAX,
    Assigned,
    Begin,
    Delivered,
    Finish,
    Finished,
    FirstOffer,
    FleetLine,
    Look,
    Manifest,
    Online,
    Phones,
    PhoneState,
    PickedUp,
    Pin,
    Tally,
    ToFleet,
    Trouble,
    Won,
)
from flexlive.lab.options import DemoError
from flexlive.lab.processes import Child, ChildOptions
from flexlive.lab.summary import Samples
from flexlive.lab.view import View

FINISH_SECONDS_MAX = 30.0
LOOK_SECONDS_MAX = 10.0


@dataclass(slots=True)
class DeviceAnswers:
    """What one phone was answered: SHA-256 (hex) by cmd."""

    device_id: str
    by_cmd: dict[str, str] = field(default_factory=dict[str, str])


class FleetProcess:
    """One fleet. first_offer_seconds: from the command to the first offer on a phone."""

    def __init__(self, child: Child, book: Book, view: View) -> None:
        self._child, self._book, self._view = child, book, view
        self.samples = Samples()
        self.finished: Finished | None = None
        self.online = 0
        self.first_offer_seconds: float | None = None
        self.answers: dict[UUID, DeviceAnswers] = {}
        self._phones: Phones | None = None
        self._looks = 0
        self._news = asyncio.Event()
        self._reader = asyncio.create_task(self._read(), name="fleet reader")

    @classmethod
    async def start(cls, manifest: Manifest, directory: Path, book: Book, view: View) -> FleetProcess:
        """directory: private to this run; the manifest with its tokens is written there, readable by its owner only."""
        path = directory / "fleet.json"
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(msgspec.json.encode(manifest))
        options = ChildOptions(name="the fleet", log=directory / "fleet.log", piped=True, line_bytes_max=LINE_BYTES_MAX)
        child = await Child.start(["-m", "flexlive.lab.fleet", str(path)], options)
        return cls(child, book, view)

    async def wait_online(self, drivers: int, seconds_max: float) -> None:
        """Until so many drivers are online. Raises DemoError when they are not in time."""
        try:
            async with asyncio.timeout(seconds_max):
                while self.online < drivers:
                    if self._reader.done():
                        raise DemoError(f"the fleet ended by itself\n{self._child.log_tail()}")
                    await self._wait_for_news()
        except TimeoutError:
            texts = "\n".join(self._book.troubles.texts[:5])
            raise DemoError(
                f"only {self.online} of {drivers} drivers came online in {seconds_max:.0f} s\n{texts}"
            ) from None

    async def begin(self) -> None:
        await self._tell(Begin())

    async def pin(self, external_delivery_id: str, pincode: str) -> None:
        """The customer knows it; so will the driver who stands at the door."""
        await self._tell(Pin(external_delivery_id, pincode))

    async def look(self) -> tuple[PhoneState, ...]:
        """What every phone holds now. Raises DemoError when no answer comes."""
        self._looks += 1
        await self._tell(Look(self._looks))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS_MAX):
                while not self._reader.done():
                    if self._phones is not None and self._phones.number == self._looks:
                        return self._phones.phones
                    await self._wait_for_news()
        raise DemoError(f"the fleet does not say what its phones hold\n{self._child.log_tail()}")

    async def finish(self) -> Finished:
        """Sends everybody home and returns the last report. Raises DemoError when none comes."""
        await self._tell(Finish())
        try:
            async with asyncio.timeout(FINISH_SECONDS_MAX):
                while self.finished is None and not self._reader.done():
                    await self._wait_for_news()
        except TimeoutError:
            pass
        if self.finished is None:
            raise DemoError(f"the fleet gave no last report\n{self._child.log_tail()}")
        return self.finished

    async def stop(self) -> None:
        """Ends the process, orderly if it can."""
        if self._child.process.stdin is not None:
            self._child.process.stdin.close()
        await self._child.stop()
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def _tell(self, message: ToFleet) -> None:
        stdin = self._child.process.stdin
        if stdin is None:
            raise DemoError("the fleet has no ear")
        with contextlib.suppress(ConnectionError):
            stdin.write(msgspec.json.encode(message) + b"\n")
            await stdin.drain()

    async def _wait_for_news(self) -> None:
        self._news.clear()
        await self._news.wait()

    async def _read(self) -> None:
        stdout = self._child.process.stdout
        decoder = msgspec.json.Decoder(FleetLine)
        try:
            while stdout is not None and (line := await stdout.readline()):
                self._booked(decoder.decode(line))
                self._news.set()
        finally:
            self._news.set()

    def _booked(self, line: FleetLine) -> None:
        match line:
            case Online():
                self.online = line.connected
            case Phones():
                self._phones = line
                for phone in line.phones:
                    self.answers.setdefault(phone.driver_id, DeviceAnswers(phone.device_id)).by_cmd |= phone.answers
            case Tally():
                self.samples.add(line)
            case FirstOffer():
                self.first_offer_seconds = round(self._view.seconds, 2)
                self._view.first_offer(self.first_offer_seconds)
            case Won():
                self._book.won_at.setdefault(line.offer_id, line.at)
            case Assigned():
                self._book.accepted(line.offer_id, line.external_delivery_ids)
                self._view.event(f"{', '.join(line.external_delivery_ids)}: a driver takes it")
            case PickedUp():
                for order in self._orders(line.external_delivery_ids):
                    order.picked_up_at = line.at
            case Delivered():
                for order in self._orders((line.external_delivery_id,)):
                    order.delivered_at = line.at
                self._view.event(f"{line.external_delivery_id}: delivered")
            case Trouble():
                self._book.troubles.quote(line.text)
                self._view.event(line.text)
            case Finished():
                self.finished = line
            case _:
                assert_never(line)

    def _orders(self, names: tuple[str, ...]):
        return [order for name in names if (order := self._book.orders.get(name)) is not None]
