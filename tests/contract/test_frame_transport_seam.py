"""The inner parts of uvicorn and websockets that web/frame_transport.py leans on, pinned: a new version of either
shows here first, with the name of what moved."""

import asyncio
import base64
import inspect
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

import pytest
import uvicorn
import uvloop
import websockets
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State
from websockets.server import ServerProtocol

from flexlive.protocol.codec import text_frame_header
from flexlive.protocol.limits import FRAME_BYTES_MAX
from flexlive.web import frame_transport as seam
from flexlive.web.frame_transport import FrameTransport
from flexlive.web.links import AsgiLink, FramedLink, Link, link_for
from flexlive.web.listening import ListenOptions, listen

from .socket_server import serving

BOTH = pytest.mark.parametrize("plain_asgi", [False, True], ids=["framed", "plain-asgi"])


class Echo:
    """Echoes through whichever link it gets, and keeps it for the test."""

    def __init__(self) -> None:
        self.links: list[Link] = []
        self.scopes: list[Any] = []
        self.ended = asyncio.Event()

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        link = link_for(scope, receive, send)
        self.links.append(link)
        self.scopes.append(scope)
        try:
            await link.run(self)
        finally:
            self.ended.set()

    def drained(self) -> None:
        pass

    def frame_received(self, frame: str | bytes) -> None:
        if frame == "close":
            self.links[-1].close(4001, "asked to, " + "ü" * 200)
        else:
            self.links[-1].send(frame.encode() if isinstance(frame, str) else b"<%d bytes>" % len(frame))


class TestSeam:
    def test_versions_are_the_pinned_ones(self):
        assert uvicorn.__version__ == "0.54.0"
        assert websockets.__version__ == "17.4"

    def test_the_attributes_in_use_exist(self):
        source = inspect.getsource(WebSocketsSansIOProtocol)
        for name in ("queue", "close_sent", "handshake_complete", "close_timer", "read_paused", "frames",
                     "curr_msg_data_type", "transport", "conn", "loop", "logger", "scope"):  # fmt: skip
            assert f"self.{name}" in source, f"uvicorn's protocol no longer has {name}"
        for name in ("connection_made", "connection_lost", "pause_writing", "resume_writing", "handle_connect",
                     "run_asgi", "send_receive_event_to_app", "handle_parser_exception"):  # fmt: skip
            assert callable(getattr(WebSocketsSansIOProtocol, name)), f"uvicorn's protocol no longer has {name}"
        conn = ServerProtocol()
        assert conn.state is State.CONNECTING
        assert {"logger", "debug"} <= vars(conn).keys()

    def test_the_overridden_parts_have_not_changed(self):
        """Digests of what our overrides replace or rely on; on a mismatch read the diff, then adapt both."""
        from hashlib import sha256

        digests = {
            name: sha256(inspect.getsource(getattr(WebSocketsSansIOProtocol, name)).encode()).hexdigest()[:12]
            for name in ("send_receive_event_to_app", "handle_close", "run_asgi", "shutdown", "handle_parser_exception")
        }
        assert digests == PINNED


PINNED = {
    "send_receive_event_to_app": "a2b10de91477",
    "handle_close": "62fd412b1f5b",
    "run_asgi": "662375aa38d9",
    "shutdown": "e8ace796ada6",
    "handle_parser_exception": "ff5cf13c764f",
}


@BOTH
async def test_it_echoes_text_and_reports_binary(plain_asgi: bool):
    echo = Echo()
    async with serving(echo, plain_asgi=plain_asgi) as port, connect(f"ws://127.0.0.1:{port}/") as phone:
        for text in ("a", "é" * 100, "x" * FRAME_BYTES_MAX):
            await phone.send(text)
            assert await phone.recv() == text
        await phone.send(b"123")
        assert await phone.recv() == "<3 bytes>"
        await phone.send(["frag", "ment", "ed"])
        assert await phone.recv() == "fragmented"
        assert isinstance(echo.links[0], AsgiLink if plain_asgi else FramedLink)
        if not plain_asgi:
            transport = echo.scopes[0]["extensions"][seam.FRAMES_EXTENSION].transport
            assert transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    await asyncio.wait_for(echo.ended.wait(), 2)


@BOTH
async def test_frames_sent_right_behind_the_handshake_are_not_lost(plain_asgi: bool):
    async with serving(Echo(), plain_asgi=plain_asgi) as port, connect(f"ws://127.0.0.1:{port}/") as phone:
        texts = [str(number) for number in range(50)]
        for text in texts:
            await phone.send(text)
        assert [await phone.recv() for _ in texts] == texts


@BOTH
async def test_it_closes_with_a_code_and_a_reason_that_fits(plain_asgi: bool):
    echo = Echo()
    async with serving(echo, plain_asgi=plain_asgi) as port, connect(f"ws://127.0.0.1:{port}/") as phone:
        await phone.send("close")
        with pytest.raises(ConnectionClosed):
            await phone.recv()
        assert phone.close_code == 4001
        assert phone.close_reason is not None
        assert phone.close_reason.startswith("asked to, üü")
    await asyncio.wait_for(echo.ended.wait(), 2)


@BOTH
async def test_too_large_a_frame_closes_1009(plain_asgi: bool):
    async with serving(Echo(), plain_asgi=plain_asgi) as port, connect(f"ws://127.0.0.1:{port}/") as phone:
        await phone.send("x" * (FRAME_BYTES_MAX + 1))
        with pytest.raises(ConnectionClosed):
            await phone.recv()
        assert phone.close_code == 1009


@BOTH
async def test_compression_is_refused(plain_asgi: bool):
    async with serving(Echo(), plain_asgi=plain_asgi) as port, connect(f"ws://127.0.0.1:{port}/") as phone:
        assert phone.protocol.extensions == []


async def _raw_handshake(port: int, path: bytes = b"/") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    key = base64.b64encode(os.urandom(16))
    writer.write(
        b"GET %b HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: %b\r\nSec-WebSocket-Version: 13\r\n\r\n" % (path, key)
    )
    return reader, writer


def _masked(opcode: int, payload: bytes, fin: bool = True) -> bytes:
    assert len(payload) < 126
    mask = b"\x01\x02\x03\x04"
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return bytes([(0x80 if fin else 0) | opcode, 0x80 | len(payload)]) + mask + masked


@pytest.mark.parametrize(
    "frames",
    [_masked(1, b"\xff\xfe"), _masked(1, b"ok \xe2\x82", fin=False) + _masked(0, b"\xff")],
    ids=["whole", "split"],
)
async def test_bad_utf_8_closes_1007_without_a_traceback(frames: bytes, caplog: pytest.LogCaptureFixture):
    echo = Echo()
    async with serving(echo) as port:
        reader, writer = await _raw_handshake(port)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(frames)
        header = await asyncio.wait_for(reader.readexactly(4), 2)
        assert header[0] == 0x88
        assert struct.unpack("!H", header[2:])[0] == 1007
        writer.close()
        await asyncio.wait_for(echo.ended.wait(), 2)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_no_path_or_payload_is_logged(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG, logger="uvicorn")
    caplog.set_level(logging.DEBUG, logger="uvicorn.error")
    async with serving(Echo()) as port, connect(f"ws://127.0.0.1:{port}/v1/driver?ticket=fl_ticket_m_s3cret") as phone:
        await phone.send("36.1,-115.2")
        await phone.recv()
    server_side = [record for record in caplog.records if record.name.startswith(("uvicorn", "flexlive"))]
    assert not [record for record in server_side if "s3cret" in record.getMessage() or "115.2" in record.getMessage()]


@pytest.mark.parametrize("path", [b"/\xff\xfe", b"/?ticket=\xc3\xa9", b"/%ff"])
async def test_an_odd_path_is_answered_not_crashed_on(path: bytes, caplog: pytest.LogCaptureFixture):
    async with serving(Echo()) as port:
        reader, writer = await _raw_handshake(port, path)
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n"), 2)
        assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 101"))
        writer.close()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_pre_framed_writes_stop_once_a_close_was_sent():
    echo = Echo()
    async with serving(echo) as port, connect(f"ws://127.0.0.1:{port}/") as phone:
        await phone.send("hello")
        await phone.recv()
        transport: FrameTransport = echo.scopes[0]["extensions"][seam.FRAMES_EXTENSION]
        assert transport.write_framed(text_frame_header(2) + b"ok")
        transport.close_frames(4001, "bye")
        assert not transport.write_framed(text_frame_header(2) + b"no")
        transport.close_frames(4002, "again")
        assert await phone.recv() == "ok"
        with pytest.raises(ConnectionClosed):
            await phone.recv()
        assert phone.close_code == 4001
    assert not transport.write_framed(b"")


async def test_a_phone_that_reads_nothing_is_seen_early_and_let_go(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(seam, "CLOSE_ABORT_SECONDS", 0.2)
    echo = Echo()
    async with serving(echo) as port:
        quiet = socket.socket()
        quiet.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        quiet.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(quiet, ("127.0.0.1", port))
        handshake = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        handshake += b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        await loop.sock_sendall(quiet, handshake)
        await loop.sock_recv(quiet, 300)
        while not echo.links:
            await asyncio.sleep(0.01)
        link, written = echo.links[0], 0
        while link.buffered_bytes() <= 128 * 1024:
            link.send(b"x" * 1000)
            written += 1004
            assert written < 400 * 1024, "the kernel swallowed it all: is SO_SNDBUF set on the listening socket?"
            await asyncio.sleep(0)
        transport: FrameTransport = echo.scopes[0]["extensions"][seam.FRAMES_EXTENSION]
        assert transport.pauses == 1
        await asyncio.sleep(0.05)
        assert link.stalled_seconds() > 0.04  # loops round their clock
        link.close(4008, "slow")
        await asyncio.wait_for(echo.ended.wait(), 1)
        async with asyncio.timeout(2):
            while link.buffered_bytes():
                await asyncio.sleep(0.02)
        quiet.close()


@pytest.mark.parametrize(
    "case",
    [
        partial(test_it_echoes_text_and_reports_binary, False),
        partial(test_frames_sent_right_behind_the_handshake_are_not_lost, False),
        partial(test_it_closes_with_a_code_and_a_reason_that_fits, False),
        partial(test_too_large_a_frame_closes_1009, False),
        test_pre_framed_writes_stop_once_a_close_was_sent,
    ],
)
def test_the_seam_holds_on_the_loop_of_production_too(case: Callable[[], Coroutine[Any, Any, None]]):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(case())


def test_a_stalled_phone_is_let_go_on_the_loop_of_production_too(monkeypatch: pytest.MonkeyPatch):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test_a_phone_that_reads_nothing_is_seen_early_and_let_go(monkeypatch))


def test_the_listening_socket_hands_its_send_buffer_down():
    with listen("127.0.0.1", 0, ListenOptions(send_buffer_bytes=16 * 1024)) as listener:
        with socket.create_connection(listener.getsockname()):
            listener.setblocking(True)
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 2 * 16 * 1024
        with pytest.raises(OSError):
            listen("127.0.0.1", listener.getsockname()[1])
