"""Who holds the session, and how long a connection lives."""

from __future__ import annotations

import asyncio

from flexlive.lab.conform.bench import Bench, resume_of, shell
from flexlive.lab.conform.heard import Broken, Ended, expect
from flexlive.lab.conform.scenario import Scenarios

_SLACK_SECONDS = 6.0
_DRAIN_SECONDS_MAX = 60.0
_BACK_SECONDS_MAX = 90.0
_AGAIN_SECONDS = 0.5

heartbeats = Scenarios("Heartbeat")
takeovers = Scenarios("One phone at a time")
stops = Scenarios("When the server stops")


@heartbeats(slow=True)
async def silence(bench: Bench) -> None:
    """Who says nothing hears a heartbeat in time, and is closed 4009 after two that were missed."""
    await _out_of_work(bench)
    async with bench.live() as (phone, opening):
        period_seconds = float(opening.answer.message["heartbeat_seconds"])
        began = asyncio.get_running_loop().time()
        await phone.type("heartbeat", period_seconds + _SLACK_SECONDS)
        await phone.ended(4009, seconds=2 * period_seconds + _SLACK_SECONDS)
        lived_seconds = asyncio.get_running_loop().time() - began
        expect(lived_seconds > period_seconds, f"closed after {lived_seconds:.1f} s of silence")


@heartbeats(slow=True)
async def signs_of_life(bench: Bench) -> None:
    """Any frame keeps a connection open beyond that time."""
    await _out_of_work(bench)
    async with bench.live() as (phone, opening):
        period_seconds = float(opening.answer.message["heartbeat_seconds"])
        for number in range(5):
            await phone.silence(period_seconds * 0.6)
            await phone.send({"type": "heartbeat"} if number % 2 else {"type": "mood.update"})
        await phone.alive()


async def _out_of_work(bench: Bench) -> None:
    # The next session is shown no offer, so that no fact comes in between.
    async with bench.live() as (phone, _):
        await phone.command(bench.online("offline"))


@takeovers()
async def replaced(bench: Bench) -> None:
    """A second connection of a driver closes the first 4509 and is the one that lives."""
    async with bench.live() as (first, _), bench.live() as (second, _):
        await first.ended(4509)
        await second.alive()


@takeovers()
async def replaced_and_resumed(bench: Bench) -> None:
    """A second connection that knows the sid takes the session over."""
    async with bench.live() as (first, opening), bench.live(resume=resume_of(opening, first)) as (second, again):
        expect(again.kind == "resumed", f"a resume while the first socket lives is answered by {again.kind}")
        await first.ended(4509)
        await second.alive()


@takeovers("second driver")
async def drivers_apart(bench: Bench) -> None:
    """Two drivers do not replace each other, and neither hears the other's answers."""
    async with bench.live() as (first, _), bench.live(2) as (second, _):
        command = bench.online()
        await second.command(command)
        await first.alive()
        await second.alive()
        expect(not [heard for heard in first.frames if heard.type == "result"], "a result went to the other driver")


@stops("restart", slow=True)
async def restart(bench: Bench) -> None:
    """A stopping server says drain, closes 4001, and whoever comes back is resumed or reset."""
    command = bench.target.restart_command
    assert command is not None
    async with bench.live() as (phone, opening):
        back = resume_of(opening, phone)
        stopping = asyncio.create_task(shell(command))
        try:
            drain = await phone.type("drain", _DRAIN_SECONDS_MAX)
            expect(drain["reconnect_after_ms"] >= 0, "drain names a time in the past")
            await phone.ended(4001, seconds=_DRAIN_SECONDS_MAX)
        finally:
            await stopping
    await _come_back(bench, back)


async def _come_back(bench: Bench, back: dict[str, object]) -> None:
    try:
        async with asyncio.timeout(_BACK_SECONDS_MAX):
            while True:
                try:
                    async with bench.live(resume=back) as (phone, opening):
                        expect(opening.kind in ("resumed", "reset"), f"a resume is answered by {opening.kind}")
                        await phone.alive()
                        return
                except (Broken, Ended):
                    await asyncio.sleep(_AGAIN_SECONDS)
    except TimeoutError:
        raise Broken(f"the server is not back after {_BACK_SECONDS_MAX:g} s") from None
