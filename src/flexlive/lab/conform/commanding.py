"""One effect and one answer, whatever the connection does."""

from __future__ import annotations

import asyncio

from flexlive.lab.conform.bench import Bench, dropped, resume_of
from flexlive.lab.conform.heard import Heard, expect
from flexlive.lab.conform.scenario import Scenarios
from flexlive.protocol.limits import COMMANDS_BURST_PER_SECOND, RATE_LIMITED_ANSWERS_MAX

_OK = 200

commanding = Scenarios("Commands and their answers")


@commanding()
async def answered(bench: Bench) -> None:
    """A command that takes effect is answered ok; one about an unknown offer not_found."""
    async with bench.live() as (phone, _):
        _is(await phone.command(bench.online("offline")), "ok", ok=True)
        _is(await phone.command(bench.online()), "ok", ok=True)
        _is(await phone.command(bench.unknown_offer()), "not_found", ok=False)
        accept = bench.unknown_offer() | {"type": "offer.accept", "offer_version": 1}
        _is(await phone.command(accept), "not_found", ok=False)
        await phone.alive()


@commanding()
async def same_bytes(bench: Bench) -> None:
    """The same cmd with the same content gets the stored result byte for byte, also on a later connection."""
    for command in (bench.online(), bench.unknown_offer()):
        async with bench.live() as (phone, _):
            first = await phone.command(command)
            _same(await phone.command(command), first.raw)
            _same(await phone.command(command | {"ack": phone.seq}), first.raw)
            device = phone.device_id
        async with bench.live(device_id=device) as (phone, _):
            _same(await phone.command(command), first.raw)


@commanding()
async def twice_at_once(bench: Bench) -> None:
    """A command sent twice without waiting is answered twice with the same bytes."""
    async with bench.live() as (phone, _):
        command = bench.online()
        await phone.send(command)
        await phone.send(command)
        first = await phone.result(command["cmd"])
        _same(await phone.result(command["cmd"]), first.raw)


@commanding()
async def other_content(bench: Bench) -> None:
    """The same cmd with other content is answered conflict without current, and the first answer stays."""
    async with bench.live() as (phone, _):
        command = bench.unknown_offer()
        first = await phone.command(command)
        conflict = await phone.command(bench.unknown_offer(command["cmd"]))
        _is(conflict, "conflict", ok=False)
        expect("current" not in conflict.message, "conflict of a cmd has a current")
        _is(await phone.command(bench.online() | {"cmd": command["cmd"]}), "conflict", ok=False)
        _same(await phone.command(command), first.raw)


@commanding()
async def cmd_of_a_device(bench: Bench) -> None:
    """Another device_id has names of its own: the same cmd there is a new decision."""
    async with bench.live() as (phone, _):
        command = bench.unknown_offer()
        await phone.command(command)
    async with bench.live() as (phone, _):
        _is(await phone.command(bench.online() | {"cmd": command["cmd"]}), "ok", ok=True)


@commanding()
async def unacked(bench: Bench) -> None:
    """hello.unacked gets the stored results byte for byte and names the rest as unknown, in welcome and in resumed."""
    async with bench.live() as (phone, answer):
        stored = [await phone.command(command) for command in (bench.online(), bench.unknown_offer())]
        asked = [stored[0].message["cmd"], bench.cmd(), stored[1].message["cmd"], bench.cmd()]
        back, device = resume_of(answer, phone), phone.device_id
        await dropped(phone)
    for resume, kind in ((back, "resumed"), (None, "welcome")):
        async with bench.live(resume=resume, unacked=asked, device_id=device) as (phone, answer):
            expect(answer.kind == kind, f"answered by {answer.kind}, {kind} was due")
            expect(answer.results == [heard.raw for heard in stored], f"{kind}.results are not the stored answers")
            expect(answer.unknown == [asked[1], asked[3]], f"{kind}.unknown_commands is {answer.unknown}")
            await dropped(phone)


@commanding()
async def lost_answer(bench: Bench) -> None:
    """A command whose socket dies at once is decided once: hello tells its answer, or that there is none yet."""
    command = bench.unknown_offer()
    async with bench.live() as (phone, _):
        device = phone.device_id
        await phone.send(command)
        await dropped(phone)
    async with bench.live(device_id=device, unacked=[command["cmd"]]) as (phone, answer):
        again = await phone.command(command)
        _is(again, "not_found", ok=False)
        told = [*answer.results, *([] if answer.unknown == [command["cmd"]] else [again.raw])]
        expect(bool(answer.results) != bool(answer.unknown), "the cmd is neither answered nor unknown, or both")
        expect(set(told) <= {again.raw}, "hello told another answer than the repeated command got")


@commanding()
async def in_order(bench: Bench) -> None:
    """Commands of a socket are carried out one after another, in order."""
    async with bench.live() as (phone, _):
        sent = [bench.online("offline" if number % 2 else "online") for number in range(COMMANDS_BURST_PER_SECOND - 2)]
        for command in sent:
            await phone.send(command)
        for command in sent:
            await phone.result(command["cmd"])
        order = [heard.message["cmd"] for heard in phone.frames if heard.type == "result"]
        expect(order == [command["cmd"] for command in sent], "the answers are in another order")
        await phone.shows_presence(sent[-1]["mode"])


@commanding()
async def invalid(bench: Bench) -> None:
    """A command with a wrong field, or of an unknown type, is answered invalid; the cmd stays free."""
    async with bench.live() as (phone, _):
        right = bench.online()
        _is(await phone.command(right | {"mode": "sideways"}), "invalid", ok=False)
        _is(await phone.command({"type": "offer.admire", "cmd": right["cmd"]}), "invalid", ok=False)
        _is(await phone.command({"type": "presence.set", "cmd": right["cmd"]}), "invalid", ok=False)
        _is(await phone.command(right), "ok", ok=True)


@commanding()
async def rate_limited(bench: Bench) -> None:
    """Commands in a hurry are answered rate_limited with retry_after_ms; the same cmd after that time is decided."""
    async with bench.live() as (phone, _):
        commands = [bench.unknown_offer() for _ in range(COMMANDS_BURST_PER_SECOND * 2)]
        for command in commands:
            await phone.send(command)
        answers = [await phone.result(command["cmd"]) for command in commands]
        refused = [heard.message for heard in answers if heard.message["code"] == "rate_limited"]
        expect(refused, f"{len(commands)} commands at once, and none is refused")
        expect(all(each.get("retry_after_ms", 0) > 0 for each in refused), "rate_limited without retry_after_ms")
        last = commands[-1]
        expect(last["cmd"] == refused[-1]["cmd"], "the last of a burst is not the one refused")
        await asyncio.sleep(refused[-1]["retry_after_ms"] / 1000)
        _is(await phone.command(last), "not_found", ok=False)


@commanding()
async def refusals_end(bench: Bench) -> None:
    """Thirty refusals at once close 4029."""
    async with bench.live() as (phone, _):
        for _ in range(COMMANDS_BURST_PER_SECOND + RATE_LIMITED_ANSWERS_MAX * 3):
            await phone.send(bench.unknown_offer())
        await phone.ended(4029)


@commanding()
async def twin(bench: Bench) -> None:
    """A command sent over both the socket and HTTP, in either order or at once, has one answer with the same bytes."""
    async with bench.live() as (phone, _):
        command = bench.unknown_offer()
        first = await phone.command(command)
        _same(await _over_http(bench, phone.device_id, command), first.raw)
        command = bench.online()
        second = await _over_http(bench, phone.device_id, command)
        _same(await phone.command(command), second)
        command = bench.online()
        await phone.send(command)
        third = await _over_http(bench, phone.device_id, command)
        _same(await phone.result(command["cmd"]), third)


@commanding()
async def twin_refuses(bench: Bench) -> None:
    """Over HTTP: other content is a conflict, no command is 400, no token is 401."""
    async with bench.live() as (phone, _):
        command = bench.unknown_offer()
        await phone.command(command)
        raw = await _over_http(bench, phone.device_id, bench.unknown_offer(command["cmd"]))
        expect(b'"conflict"' in raw, f"other content is answered {raw.decode()}")
        nonsense = await bench.twin(phone.device_id, {"type": "heartbeat"})
        expect(nonsense.status_code == 400, f"a signal is answered {nonsense.status_code}")
        headers = {"flexlive-device": phone.device_id}
        stranger = await bench.http.post("/v1/driver/commands", json=bench.online(), headers=headers)
        expect(stranger.status_code == 401, f"without a token it is answered {stranger.status_code}")


async def _over_http(bench: Bench, device_id: str, command: dict[str, object]) -> bytes:
    answer = await bench.twin(device_id, command)
    expect(answer.status_code == _OK, f"POST /v1/driver/commands is answered {answer.status_code}")
    return answer.content


def _is(heard: Heard, code: str, *, ok: bool) -> None:
    got = heard.message
    expect(
        got["code"] == code and got["ok"] is ok,
        f"{got['cmd']} is answered {got['code']} (ok {got['ok']}), {code} was due",
    )


def _same(heard: Heard | bytes, first: bytes) -> None:
    raw = heard.raw if isinstance(heard, Heard) else heard
    expect(raw == first, f"the first answer was {first.decode()}, now {raw.decode()}")
