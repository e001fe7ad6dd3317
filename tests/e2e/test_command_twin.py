"""Commands over HTTP: the socket's frames, the socket's bytes, one effect."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest

from flexlive.protocol import driver as wire
from flexlive.protocol.codec import encode_client
from tests.support.http_server import Server, serve
from tests.support.phones import Phone
from tests.support.world import SITE, World, build_world


@pytest.fixture
async def server(database_url: str) -> AsyncIterator[Server]:
    async with serve(database_url) as running:
        yield running


@pytest.fixture
async def world(server: Server) -> World:
    return await build_world(server.ctx, drivers=2)


async def post(server: Server, token: str, body: bytes, device: str | None = "phone-1") -> httpx.Response:
    headers = server.bearer(token) | ({} if device is None else {"flexlive-device": device})
    return await server.http.post("/v1/driver/commands", content=body, headers=headers)


async def test_an_answer_is_the_same_bytes_whichever_way_it_is_asked_for(server: Server, world: World):
    token = world.driver_tokens[0]
    phone = Phone("phone-1")
    online = wire.PresenceSet(cmd="p-1", mode="online")
    async with phone.connected(server.url, token, SITE):
        await phone.command(online)
        [frame] = [frame for frame in phone.frames if b'"result"' in frame and b'"p-1"' in frame]
        over_http = await post(server, token, encode_client(online))
        assert (over_http.status_code, over_http.content) == (200, frame)
        assert over_http.headers["content-type"].partition(";")[0] == "application/json"
        # The other way round: first over HTTP, then over the socket.
        offline = wire.PresenceSet(cmd="p-2", mode="offline")
        first = await post(server, token, encode_client(offline))
        await phone.command(offline)
        assert first.content in phone.frames
        # A twin with an acknowledgement on it is the same command.
        assert (
            await post(server, token, encode_client(wire.PresenceSet(cmd="p-2", mode="offline", ack=0)))
        ).content == (first.content)
    events = await server.ctx.pool.fetchval("select count(*) from event where kind = 'driver.presence'")
    assert events == 1  # the driver was online before: one change in all


async def test_refusals_are_results_or_problems(server: Server, world: World):
    token = world.driver_tokens[0]
    decline = wire.OfferDecline(cmd="d-1", offer_id=uuid4())
    assert (await post(server, token, encode_client(decline))).json()["code"] == "not_found"
    other = encode_client(wire.OfferDecline(cmd="d-1", offer_id=uuid4()))
    conflict = await post(server, token, other)
    assert (conflict.status_code, conflict.json()["code"]) == (200, "conflict")
    # Another phone's commands are its own.
    assert (await post(server, token, other, device="phone-2")).json()["code"] == "not_found"
    unknown = await post(server, token, b'{"type":"no.such.thing","cmd":"x-1"}')
    assert (unknown.status_code, unknown.json()) == (
        200,
        {"type": "result", "cmd": "x-1", "ok": False, "code": "invalid"},
    )
    for body in (b'{"type":"heartbeat"}', b'{"type":"presence.set"}', b"[", b"", b'{"type":"later.signal"}', b"\xff"):
        answer = await post(server, token, body)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid"), body
    for device in (None, "", "with blank", "x" * 65):
        answer = await post(server, token, encode_client(decline), device)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid"), device
    assert (await post(server, token, b"x" * (wire.FRAME_BYTES_MAX + 1))).status_code == 413
    assert (await post(server, "fl_driver_testville_nonsense", encode_client(decline))).status_code == 401


async def test_the_pace_is_the_sockets_and_one_drivers_own(server: Server, world: World):
    answers = [
        await post(server, world.driver_tokens[0], json.dumps({"type": "later", "cmd": f"x-{number}"}).encode())
        for number in range(wire.COMMANDS_BURST_PER_SECOND + 3)
    ]
    assert [answer.status_code for answer in answers[: wire.COMMANDS_BURST_PER_SECOND]] == [200] * 10
    refused = answers[-1]
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert int(refused.headers["retry-after"]) >= 1
    assert (await post(server, world.driver_tokens[1], b'{"type":"later","cmd":"x-1"}')).status_code == 200
