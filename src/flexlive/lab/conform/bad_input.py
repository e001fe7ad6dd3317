"""What is no frame of the protocol, and what later versions may say."""

from __future__ import annotations

import json

from flexlive.lab.conform.bench import Bench
from flexlive.lab.conform.heard import Message, expect
from flexlive.lab.conform.phone import Phone, now
from flexlive.lab.conform.scenario import Scenarios
from flexlive.protocol.limits import BAD_FRAMES_MAX, CMD_CHARS_MAX, FRAME_BYTES_MAX, POINTS_MAX

bad_input = Scenarios("Frames and limits")
_POINT = {"lat": 1.0, "lon": 1.0, "accuracy_m": 5.0}


@bad_input()
async def no_message(bench: Bench) -> None:
    """What is not JSON, not an object, has no type or is nested without end is answered by error, and survived."""
    cases = {"{": "not_json", "[]": "invalid_message", "{}": "invalid_message", '{"type":7}': "invalid_message"}
    async with bench.live() as (phone, _):
        for text, code in cases.items():
            await _refused(phone, text, code)
        await phone.alive()
    async with bench.live() as (phone, _):
        deep = 4_000
        await phone.send('{"type":"hello","x":' + "[" * deep + "]" * deep + "}")
        await phone.alive()


@bad_input()
async def out_of_bounds(bench: Bench) -> None:
    """Fields out of their bounds in a signal, and a cmd that is too long, are bad frames."""
    point = _POINT | {"at": now()}
    cases: list[Message] = [
        {"type": "location", "points": [point] * (POINTS_MAX + 1)},
        {"type": "location", "points": [point | {"lat": 90.5}]},
        {"type": "location", "points": [point | {"at": "2026-01-01T00:00:00"}]},
        {"type": "presence.set", "cmd": "x" * (CMD_CHARS_MAX + 1), "mode": "online"},
    ]
    async with bench.live() as (phone, _):
        for message in cases:
            await _refused(phone, json.dumps(message), "invalid_message")
        await phone.alive()


@bad_input()
async def fifth_bad_frame(bench: Bench) -> None:
    """The fifth bad frame of a connection closes 4501; the fourth does not."""
    async with bench.live() as (phone, _):
        for _ in range(BAD_FRAMES_MAX - 1):
            await _refused(phone, "{", "not_json")
        await phone.alive()
        await phone.send("{")
        await phone.ended(4501)


@bad_input()
async def binary(bench: Bench) -> None:
    """A binary frame is a bad frame: error not_text."""
    async with bench.live() as (phone, _):
        await phone.connection.send(b"\x00\x01")
        error = await phone.type("error")
        expect(error["code"] == "not_text", f"error {error['code']}, not_text was due")
        await phone.alive()


@bad_input()
async def not_utf8(bench: Bench) -> None:
    """A text frame that is not UTF-8 closes 1007."""
    async with bench.live() as (phone, _):
        await phone.send(b'{"type":"\xff"}')
        await phone.ended(1007)


@bad_input()
async def frame_size(bench: Bench) -> None:
    """A frame of 16,384 bytes is taken, a longer one closes 1009."""
    async with bench.live() as (phone, _):
        await phone.send(_padded(FRAME_BYTES_MAX))
        await phone.alive()
        await phone.send(_padded(FRAME_BYTES_MAX + 1))
        await phone.ended(1009)


@bad_input()
async def later_versions(bench: Bench) -> None:
    """Unknown types are ignored, unknown fields too, and of a repeated key the last one counts."""
    async with bench.live() as (phone, _):
        await phone.send({"type": "mood.update", "mood": "good"})
        await phone.send({"type": "heartbeat", "mood": {"good": [1, 2, 3]}})
        answer = await phone.command(bench.online() | {"mood": "good"})
        expect(answer.message["ok"], f"a command with a field of a later version is answered {answer.message['code']}")
        cmd = bench.cmd()
        await phone.send_raw(cmd, f'{{"type":"presence.set","cmd":"{cmd}","mode":"offline","mode":"online"}}')
        await phone.result(cmd)
        await phone.shows_presence("online")
        expect(not [heard for heard in phone.frames if heard.type == "error"], "an unknown type is answered by error")


@bad_input()
async def words(bench: Bench) -> None:
    """White space and the order of fields mean nothing; a device_id and a cmd may be 64 characters long."""
    async with bench.live(device_id="d" * CMD_CHARS_MAX) as (phone, _):
        cmd = bench.cmd().ljust(CMD_CHARS_MAX, "~")
        await phone.send_raw(cmd, f'\n{{ "mode" : "online" ,\t"cmd":"{cmd}", "type":"presence.set" }}\n')
        expect((await phone.result(cmd)).message["ok"], "a well-formed command is refused")


async def _refused(phone: Phone, text: str, code: str) -> None:
    await phone.send(text)
    error = await phone.type("error")
    expect(error["code"] == code, f"{text[:40]} is answered by error {error['code']}, {code} was due")


def _padded(size_bytes: int) -> str:
    head, tail = '{"type":"padding","x":"', '"}'
    return head + "x" * (size_bytes - len(head) - len(tail)) + tail
