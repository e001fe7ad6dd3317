"""Whatever a phone sends is answered with a code from the catalogue, and the phone beside notices nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, get_args
from uuid import uuid4

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from flexlive.domain.errors import RESULT_CODES
from flexlive.protocol import client_frames
from flexlive.protocol import driver as wire
from flexlive.protocol.close_codes import CloseCode
from flexlive.protocol.codec import BadFrameCode
from tests.security import hostile
from tests.security.conftest import Live
from tests.security.phones import good_phone
from tests.security.test_floods import GROWTH_BYTES_MAX
from tests.support.phones import Phone
from tests.support.world import SITE

FRAMES = get_args(client_frames.ClientMessage)
AT_ONCE = 12
"""Below what a socket keeps waiting: beyond it a command is refused unread."""
OPENING = '{"type":"hello","app_version":"1","device_id":"bad"}'
ENDS_RIGHTLY = {CloseCode.PROTOCOL_VIOLATION, CloseCode.BAD_FRAMES, CloseCode.RATE_LIMITED}


@asynccontextmanager
async def bad_phone(live: Live, token: str, *, hello: str = OPENING) -> AsyncIterator[ClientConnection]:
    async with connect(
        live.url.replace("http", "ws") + "/v1/driver",
        additional_headers={"Authorization": f"Bearer {token}"},
        subprotocols=[Subprotocol(wire.SUBPROTOCOL)],
        proxy=None,
        close_timeout=0.5,
        max_queue=None,
        compression=None,
    ) as socket:
        if hello:
            await socket.send(hello)
        yield socket


async def answered(socket: ClientConnection, mark: str) -> list[dict[str, Any]]:
    """Everything up to the answer of the command `mark`, which is sent now."""
    await socket.send(json.dumps({"type": "offer.decline", "cmd": mark, "offer_id": str(uuid4())}))
    heard: list[dict[str, Any]] = []
    async with asyncio.timeout(10):
        while True:
            message = json.loads(await socket.recv())
            if message.get("cmd") == mark:
                return heard
            heard.append(message)


def check(message: dict[str, Any], what: str) -> None:
    if message["type"] == "result":
        assert message["code"] in RESULT_CODES, what
        assert message["ok"] is (message["code"] in {"ok", "won", "entered"}), what
    elif message["type"] == "error":
        assert message["code"] in get_args(BadFrameCode), (what, message)


async def throw(live: Live, token: str, frames: list[tuple[str, str]]) -> int:
    """Send them all; how often the server ended the socket for it, with a code that says why."""
    closes, waiting = 0, list(frames)
    while waiting:
        batch: list[tuple[str, str]] = []
        try:
            async with bad_phone(live, token) as socket:
                await answered(socket, f"m-{uuid4().hex}")
                while waiting:
                    batch = [waiting.pop() for _ in range(min(AT_ONCE, len(waiting)))]
                    for _, frame in batch:
                        await socket.send(frame)
                    for message in await answered(socket, f"m-{uuid4().hex}"):
                        check(message, str([name for name, _ in batch]))
        except ConnectionClosed as error:
            closes += 1
            assert error.rcvd is not None  # noqa: PT017
            names = [name for name, _ in batch]
            assert error.rcvd.code in ENDS_RIGHTLY | {1009}, (error.rcvd, names)  # noqa: PT017
            # One of them ended it; the others are still to be tried.
            if len(batch) > 1:
                for each in batch:
                    closes += await throw(live, token, [each])
    return closes


async def own_stops(live: Live, token: str) -> dict[str, str]:
    """Ids that mean something to this driver: of the route, won here when there is none yet."""
    here = live.cast.here
    phone = Phone("bad")
    async with phone.connected(live.url, token, SITE):
        await phone.command(wire.PresenceSet(cmd=f"p-{uuid4().hex}", mode="online"))
        offers = phone.got(wire.Snapshot)[-1].offers
        for offer in offers:
            await phone.command(wire.OfferAccept(cmd=f"a-{uuid4().hex}", offer_id=offer.offer_id, offer_version=1))
        await phone.send(wire.Sync())
        await phone.until(lambda: len(phone.got(wire.Snapshot)) > 1)
        routes = phone.got(wire.Snapshot)[-1].routes
        ids = {"offer_id": str(here.offer_id), "delivery_id": str(here.delivery_id), "barcode": here.barcode}
        if routes:
            ids |= {"route_id": str(routes[0].route_id), "stop_id": str(routes[0].stops[0].stop_id)}
        return ids


async def test_every_frame_with_every_lie_in_every_field(live: Live) -> None:
    bad = live.cast.here.driver_tokens[0]
    ids = await own_stops(live, bad)
    frames = [
        (f"{frame.__struct_config__.tag} {what}", raw)
        for frame in FRAMES
        for what, raw in hostile.messages(frame, {**ids, "type": frame.__struct_config__.tag})
        if len(raw) < 16_000
    ]
    assert len(frames) > 20 * len(FRAMES)
    async with good_phone(live):
        await throw(live, bad, frames[::3])
        before = live.rss_bytes()
        await throw(live, bad, frames)
        assert live.rss_bytes() - before < GROWTH_BYTES_MAX
    assert live.complaints() == []


async def test_every_lie_in_the_first_frame(live: Live) -> None:
    bad = live.cast.here.driver_tokens[0]
    lies = [(what, raw) for what, raw in hostile.messages(wire.Hello, {}) if len(raw) < 16_000]
    ends: dict[int, int] = {}
    async with good_phone(live):
        for what, raw in lies:
            try:
                async with bad_phone(live, bad, hello=raw) as socket, asyncio.timeout(10):
                    # Ends a socket whose first frame was no hello; a live one takes it as a sign of life.
                    await socket.send('{"type":"heartbeat"}')
                    first = json.loads(await socket.recv())
                    assert first["type"] in {"error", "welcome", "reset"}, what
                    check(first, what)
                    if first["type"] != "error":
                        await answered(socket, "m-1")
            except ConnectionClosed as error:
                assert error.rcvd is not None  # noqa: PT017
                assert error.rcvd.code in ENDS_RIGHTLY, (what, error.rcvd)  # noqa: PT017
                ends[error.rcvd.code] = ends.get(error.rcvd.code, 0) + 1
    assert live.complaints() == []
