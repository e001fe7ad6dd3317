"""The answers to hello, and coming back."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flexlive.lab.conform.bench import Bench, dropped, resume_of
from flexlive.lab.conform.heard import Opening, expect
from flexlive.lab.conform.scenario import Scenarios
from flexlive.protocol import limits

_RESUMES = 3

opening = Scenarios("Session")


@opening()
async def welcome(bench: Bench) -> None:
    """A first hello is answered by welcome with the limits of the protocol, directly followed by a snapshot."""
    async with bench.live() as (_, answer):
        expect(answer.kind == "welcome", f"a first hello is answered by {answer.kind}")
        said = answer.answer.message
        told = {
            "frame_bytes_max": limits.FRAME_BYTES_MAX,
            "points_max": limits.POINTS_MAX,
            "commands_per_minute": limits.COMMANDS_PER_MINUTE,
        }
        less = {name: said["limits"][name] for name, least in told.items() if said["limits"][name] < least}
        expect(not less, f"limits are narrower than the protocol's: {less}")
        expect(0 < said["heartbeat_seconds"] <= limits.HEARTBEAT_SECONDS, f"heartbeats {said['heartbeat_seconds']} s")
        expect(said["resume_window_seconds"] > 0, "no resume window")
        expect(0 < len(answer.sid) <= 64, "sid is empty or longer than 64")
        expect(datetime.fromisoformat(said["server_time"]).tzinfo is not None, "server_time has no offset")
        _complete(answer)


@opening()
async def sessions_differ(bench: Bench) -> None:
    """Every session has a sid of its own; the process keeps its epoch."""
    sids: set[str] = set()
    for _ in range(_RESUMES):
        async with bench.live() as (_, answer):
            sids.add(answer.sid)
    expect(len(sids) == _RESUMES, "two sessions have the same sid")


@opening()
async def sync(bench: Bench) -> None:
    """sync is answered by a snapshot with the seq of this session."""
    async with bench.live() as (phone, answer):
        await phone.send({"type": "sync"})
        snapshot = await phone.type("snapshot")
        expect(snapshot["seq"] == phone.seq, f"snapshot at {snapshot['seq']}, the session is at {phone.seq}")
        _complete(Opening(answer=answer.answer, snapshot=snapshot))


@opening()
async def commands_behind_hello(bench: Bench) -> None:
    """Commands sent right after hello wait for the opening and are then answered in order."""
    async with bench.socket() as phone:
        sent = [bench.unknown_offer() for _ in range(3)]
        await phone.hello(behind=list(sent))
        for message in sent:
            await phone.result(message["cmd"])
        answered = [heard.message["cmd"] for heard in phone.frames if heard.type == "result"]
        expect(answered == [message["cmd"] for message in sent], "the answers are in another order")


@opening()
async def resume(bench: Bench) -> None:
    """A resume within the window is answered by resumed and live, as often as the connection drops."""
    async with bench.live() as (phone, answer):
        back = resume_of(answer, phone)
        await dropped(phone)
    for _ in range(_RESUMES):
        async with bench.live(resume=back) as (phone, again):
            expect(again.kind == "resumed", f"a resume within the window is answered by {again.kind}")
            await phone.alive()
            back = back | {"seq": phone.seq}
            await dropped(phone)


@opening()
async def resume_of_nothing(bench: Bench) -> None:
    """A sid nobody has is answered by reset unknown_session, another epoch by reset other_epoch."""
    async with bench.live() as (phone, answer):
        known = resume_of(answer, phone)
    await _reset(bench, known | {"sid": "A" * 43}, "unknown_session")
    await _reset(bench, known | {"epoch": "0" * 32}, "other_epoch")


@opening()
async def resume_ahead(bench: Bench) -> None:
    """A resume from a fact that was never sent is answered by reset too_old."""
    async with bench.live() as (phone, answer):
        known = resume_of(answer, phone)
    await _reset(bench, known | {"seq": known["seq"] + 1_000}, "too_old")


@opening("second driver")
async def resume_of_another(bench: Bench) -> None:
    """Another driver's sid resumes nothing: reset unknown_session."""
    async with bench.live() as (phone, answer):
        known = resume_of(answer, phone)
        await _reset(bench, known, "unknown_session", driver=2)
        await phone.alive()


@opening()
async def nothing_is_lost_in_hello(bench: Bench) -> None:
    """A hello out of its bounds is a bad frame; a right one after it is answered all the same."""
    async with bench.socket() as phone:
        wrong: list[dict[str, Any]] = [
            phone.greeting(device_id=""),
            phone.greeting(unacked=[f"cmd-{number}" for number in range(limits.UNACKED_CMDS_MAX + 1)]),
            phone.greeting(unacked=["x" * (limits.CMD_CHARS_MAX + 1)]),
        ]
        for hello in wrong:
            await phone.send(hello)
            await phone.type("error")
        answer = await phone.hello()
        expect(answer.kind == "welcome", f"answered by {answer.kind}")


async def _reset(bench: Bench, known: dict[str, Any], reason: str, driver: int = 1) -> None:
    async with bench.live(driver, resume=known) as (phone, answer):
        expect(answer.kind == "reset", f"answered by {answer.kind}, reset {reason} was due")
        expect(answer.answer.message["reason"] == reason, f"reset {answer.answer.message['reason']}, {reason} was due")
        expect(answer.sid != known["sid"], "the new session has the old sid")
        _complete(answer)
        await phone.alive()


def _complete(answer: Opening) -> None:
    assert answer.snapshot is not None
    expect(answer.snapshot["seq"] == answer.answer.message["seq"], "the snapshot is at another seq than its welcome")
    missing = {"presence", "routes", "offers"} - answer.snapshot.keys()
    expect(not missing, f"the snapshot has no {missing}")
