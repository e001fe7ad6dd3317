"""`python -m flexlive.lab.fleet MANIFEST`: many phones in one process, told what to do by lines on stdin."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from pathlib import Path
from random import Random
from typing import BinaryIO, assert_never

import msgspec

from flexlive.lab.bot_clock import BotClock
from flexlive.lab.driver_bot import DriverBot
from flexlive.lab.fleet_messages import (
    LINE_BYTES_MAX,
    Begin,
    DemoLine,
    Finish,
    FleetLine,
    Look,
    Manifest,
    Online,
    Phones,
    Pin,
)
from flexlive.lab.fleet_report import FleetReport

TALLY_SECONDS = 0.5
PULSE_SECONDS = 0.02
FINISH_SECONDS_MAX = 10.0
CONNECT_STAGGER_SECONDS = 0.004
LAST_LOOK = 0


class Fleet:
    """All the bots of a manifest. say: writes one line to the demo."""

    def __init__(self, manifest: Manifest, report: FleetReport) -> None:
        self._manifest, self._report = manifest, report
        self._clock = BotClock(manifest.scale)
        self._pins: dict[str, str] = {}
        self._mishaps = dict(manifest.mishaps)
        self._finished = asyncio.Event()
        self._bots = [
            DriverBot(
                driver=driver,
                manifest=manifest,
                sites=tuple(site for site in manifest.sites if site.market_id == driver.market_id),
                pins=self._pins,
                mishaps=self._mishaps,
                report=report,
                clock=self._clock,
                random=Random(f"{manifest.seed} {number}"),
            )
            for number, driver in enumerate(manifest.drivers)
        ]

    async def run(self, lines: asyncio.StreamReader) -> None:
        """Until told to finish, or until the demo's end of the pipe is gone."""
        listening = asyncio.create_task(self._listen(lines))
        tallying = asyncio.create_task(self._tally())
        pulse = asyncio.create_task(self._pulse())
        shifts = [asyncio.create_task(self._shift(number, bot)) for number, bot in enumerate(self._bots)]
        try:
            await self._finished.wait()
            for bot in self._bots:
                bot.leave()
            await asyncio.wait(shifts, timeout=FINISH_SECONDS_MAX)
        finally:
            for task in (listening, tallying, pulse, *shifts):
                task.cancel()
            await asyncio.gather(listening, tallying, pulse, *shifts, return_exceptions=True)
        self._look(LAST_LOOK)
        self._report.finish()

    def finish(self) -> None:
        self._finished.set()

    def _look(self, number: int) -> None:
        self._report.say(Phones(number, tuple(bot.looked_at() for bot in self._bots)))

    async def _shift(self, number: int, bot: DriverBot) -> None:
        # A town does not wake up in one millisecond, and one process cannot shake a thousand hands at once.
        await asyncio.sleep(number * CONNECT_STAGGER_SECONDS)
        await bot.run()

    async def _tally(self) -> None:
        while True:
            self._report.say(Online(self._report.online, len(self._bots)))
            self._report.tally()
            await asyncio.sleep(TALLY_SECONDS)

    async def _pulse(self) -> None:
        while True:
            due = self._clock.now() + PULSE_SECONDS
            await asyncio.sleep(PULSE_SECONDS)
            self._report.late((self._clock.now() - due) * 1000)

    async def _listen(self, lines: asyncio.StreamReader) -> None:
        decoder = msgspec.json.Decoder(DemoLine)
        while line := await lines.readline():
            message = decoder.decode(line)
            match message:
                case Begin():
                    self._clock.begin()
                case Pin():
                    self._pins[message.external_delivery_id] = message.pincode
                case Look():
                    self._look(message.number)
                case Finish():
                    break
                case _:
                    assert_never(message)
        self.finish()


def line_writer(stream: BinaryIO) -> FleetReport:
    """A report that writes JSON lines; a demo that no longer listens is no error here."""
    encoder = msgspec.json.Encoder()

    def say(line: FleetLine) -> None:
        with contextlib.suppress(BrokenPipeError, ValueError):
            stream.write(encoder.encode(line) + b"\n")
            stream.flush()

    return FleetReport(say)


async def _main(manifest: Manifest) -> None:
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=LINE_BYTES_MAX)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    fleet = Fleet(manifest, line_writer(sys.stdout.buffer))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, fleet.finish)
    await fleet.run(lines)


def main(arguments: list[str]) -> int:
    """Exit code 0 when it has said all it had to say."""
    manifest = msgspec.json.decode(Path(arguments[0]).read_bytes(), type=Manifest)
    try:
        import uvloop
    except ImportError:
        asyncio.run(_main(manifest))
    else:
        uvloop.run(_main(manifest))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
