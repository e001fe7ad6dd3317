"""RFC 6455 frame by frame, after the Autobahn test suite (tests/contract/autobahn.py runs that itself): what is echoed,
and with which code a connection ends. Section numbers are Autobahn's."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from tests.contract.echo import Echo
from tests.contract.socket_server import serving
from tests.security import raw
from tests.security.raw import BINARY, CONTINUATION, PING, TEXT, frame

CLOSE, PONG = 0x8, 0xA
END = frame(CLOSE, (1000).to_bytes(2, "big"))
WAIT_SECONDS_MAX = 10.0
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
    b"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-version: 13\r\n\r\n"
)


@dataclass(frozen=True)
class Case:
    """sent: after the handshake. heard: the messages and pongs echoed before the close, by opcode. code: of the
    server's close frame; None when it has none. goodbye: say it once everything has been heard."""

    section: str
    sent: bytes
    heard: tuple[tuple[int, bytes], ...] = ()
    code: int | None = 1000
    goodbye: bool = True

    def kept(self, heard: tuple[tuple[int, bytes], ...], code: int | None) -> bool:
        """What comes in one piece with a violation need not be answered any more."""
        return code == self.code and (heard == self.heard or (not self.goodbye and heard == ()))


def echoed(section: str, opcode: int, payload: bytes) -> Case:
    return Case(section, frame(opcode, payload), ((opcode, payload),))


def closed(section: str, sent: bytes, code: int | None, heard: tuple[tuple[int, bytes], ...] = ()) -> Case:
    return Case(section, sent, heard, code, goodbye=False)


def said_goodbye(section: str, payload: bytes, code: int | None) -> Case:
    return closed(section, frame(CLOSE, payload), code)


def in_pieces(opcode: int, payload: bytes, size: int) -> bytes:
    pieces = [payload[at : at + size] for at in range(0, len(payload), size)]
    last = len(pieces) - 1
    return b"".join(frame(CONTINUATION if n else opcode, each, fin=n == last) for n, each in enumerate(pieces))


def ping(number: int) -> bytes:
    return frame(PING, b"%d" % number)


UMLAUTS = "Hällö €uro 𝄞 κόσμε".encode()
CASES = [
    # 1: sizes at which the length is written in another way
    *(echoed(f"1.1 {size}", TEXT, b"*" * size) for size in (0, 125, 126, 127, 128, 16_384)),
    *(echoed(f"1.2 {size}", BINARY, b"\xfe" * size) for size in (0, 125, 126, 127, 128, 16_384)),
    # 2: pings and pongs
    Case("2.1", frame(PING), ((PONG, b""),)),
    Case("2.4", frame(PING, b"\x00\xff" * 62), ((PONG, b"\x00\xff" * 62),)),
    closed("2.5", frame(PING, b"\xfe" * 126), 1002),
    Case("2.7", frame(PONG, b"unasked")),
    Case("2.10", b"".join(map(ping, range(10))), tuple((PONG, b"%d" % number) for number in range(10))),
    # 3: reserved bits
    *(closed(f"3 {bits:#x}", frame(TEXT, b"x", reserved=bits), 1002) for bits in (0x10, 0x20, 0x40, 0x70)),
    closed("3.2", frame(TEXT, b"first") + frame(TEXT, b"x", reserved=0x10), 1002, ((TEXT, b"first"),)),
    # 4: opcodes nobody has defined
    *(closed(f"4 {opcode:#x}", frame(opcode), 1002) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
    # 5: fragments
    closed("5.1", frame(PING, b"x", fin=False), 1002),
    closed("5.2", frame(PONG, b"x", fin=False), 1002),
    Case("5.3", in_pieces(TEXT, b"fragmented", 5), ((TEXT, b"fragmented"),)),
    Case("5.3 binary", in_pieces(BINARY, b"\xff" * 10, 5), ((BINARY, b"\xff" * 10),)),
    Case(
        "5.6",
        frame(TEXT, b"a", fin=False) + frame(PING, b"p") + frame(CONTINUATION, b"b"),
        ((PONG, b"p"), (TEXT, b"ab")),
    ),
    closed("5.9", frame(CONTINUATION, b"of nothing"), 1002),
    closed("5.10", frame(CONTINUATION, b"of nothing", fin=False), 1002),
    closed("5.14", in_pieces(TEXT, b"ab", 1) + frame(CONTINUATION, b"c"), 1002, ((TEXT, b"ab"),)),
    closed("5.18", frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
    Case("6.1", frame(TEXT, fin=False) + frame(CONTINUATION, fin=False) + frame(CONTINUATION), ((TEXT, b""),)),
    # 6: UTF-8
    echoed("6.2.1", TEXT, UMLAUTS),
    Case("6.2.3", in_pieces(TEXT, UMLAUTS, 1), ((TEXT, UMLAUTS),)),
    *(
        closed(f"6 {junk.hex()}", frame(TEXT, b"text " + junk), 1007)
        for junk in (
            b"\x80", b"\xbf", b"\xc0\xaf", b"\xc1\xbf", b"\xc3", b"\xe0\x80\xaf", b"\xed\xa0\x80", b"\xed\xbf\xbf",
            b"\xf0\x80\x80\xaf", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xfe", b"\xff",
        )
    ),
    echoed("6.22", TEXT, b"\xef\xbf\xbf\xf4\x8f\xbf\xbf"),
    closed("6.3", frame(TEXT, b"\xce\xba", fin=False) + frame(CONTINUATION, b"\xed\xa0\x80"), 1007),
    # 7: closing
    Case("7.1.1", frame(TEXT, b"last"), ((TEXT, b"last"),)),
    closed("7.1.3", END + frame(PING, b"too late"), 1000),
    closed("7.1.4", END + frame(TEXT, b"too late"), 1000),
    closed("7.1.5", frame(TEXT, b"a", fin=False) + END, 1002),
    said_goodbye("7.3.1", b"", None),
    closed("7.3.2", frame(CLOSE, b"\x03"), 1002),
    said_goodbye("7.3.5", (1000).to_bytes(2, "big") + b"*" * 123, 1000),
    closed("7.3.6", frame(CLOSE, (1000).to_bytes(2, "big") + b"*" * 124), 1002),
    closed("7.5.1", frame(CLOSE, (1000).to_bytes(2, "big") + b"\xff"), 1007),
    *(said_goodbye(f"7.7 {code}", code.to_bytes(2, "big"), code) for code in (1001, 1002, 1003, 1011, 3000, 4999)),
    *(closed(f"7.9 {code}", frame(CLOSE, code.to_bytes(2, "big")), 1002) for code in (0, 999, 1004, 1005, 1006, 1015)),
]  # fmt: skip


@pytest.mark.parametrize("plain_asgi", [False, True], ids=["framed", "plain-asgi"])
async def test_frames(plain_asgi: bool) -> None:
    async with serving(Echo(), plain_asgi=plain_asgi) as port:
        url = f"http://127.0.0.1:{port}"
        heard = await asyncio.gather(*(_conversation(url, case) for case in CASES))
    wrong = [
        (case.section, case.heard, case.code, *said)
        for case, said in zip(CASES, heard, strict=True)
        if not case.kept(*said)
    ]
    assert wrong == []


async def test_one_byte_at_a_time_makes_no_difference() -> None:
    async with serving(Echo()) as port:
        sent = in_pieces(TEXT, UMLAUTS, 3) + frame(PING, b"p")
        case = Case("2.6", sent, ((TEXT, UMLAUTS), (PONG, b"p")))
        assert await _conversation(f"http://127.0.0.1:{port}", case, chunk_bytes=1) == (case.heard, case.code)


async def _conversation(
    url: str, case: Case, chunk_bytes: int | None = None
) -> tuple[tuple[tuple[int, bytes], ...], int | None]:
    """What the server says until its close frame, and the code in it; -1 when it went without one."""
    async with raw.connection(url) as (reader, writer), asyncio.timeout(WAIT_SECONDS_MAX):
        writer.write(HANDSHAKE)
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        size = chunk_bytes or len(case.sent)
        for at in range(0, len(case.sent), size):
            writer.write(case.sent[at : at + size])
            if chunk_bytes:
                await writer.drain()
                await asyncio.sleep(0)
        frames: list[tuple[int, bytes]] = []
        while True:
            if case.goodbye and len(frames) == len(case.heard):
                # After a close of ours nothing is answered, so it waits until the answers are here.
                writer.write(END)
            try:
                opcode, payload = await _frame(reader)
            except (asyncio.IncompleteReadError, ConnectionError):
                return tuple(frames), -1
            if opcode == CLOSE:
                return tuple(frames), int.from_bytes(payload[:2], "big") if payload else None
            frames.append((opcode, payload))


async def _frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    first, second = await reader.readexactly(2)
    assert first & 0xF0 == 0x80, "whole frames, no reserved bits"
    size = second
    assert size < 0x80, "servers do not mask"
    if size >= 126:
        size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
    return first & 0x0F, await reader.readexactly(size)
