"""A phone that costs next to nothing, so that thousands fit into one process: frames are looked at, not decoded.

It keeps the protocol all the same: resumes by sid, epoch and seq, counts facts, acknowledges late, answers to silence
with heartbeats, knows which offers it shows. What it cannot do is anything a driver would do with an offer.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Final, cast

import msgspec

from load_tests.frames import CLOSE, HEAD_END, FrameSplitter, client_text

if TYPE_CHECKING:
    from load_tests.fleet import Fleet

_SEQ: Final = slice(len(b'{"seq":'), len(b'{"seq":') + 10)
_KIND_AT: Final = _SEQ.stop + len(b',"type":"')
_FACT: Final = b'{"seq":'
_OFFER_ID: Final = b'"offer_id":'
_UUID_CHARS: Final = 36
_OPENINGS: Final = (b'{"type":"welcome"', b'{"type":"reset"', b'{"type":"resumed"')
_HEARTBEAT: Final = client_text(b'{"type":"heartbeat"}')
ABNORMAL: Final = 1006


class _Opening(msgspec.Struct):
    type: str
    sid: str = ""
    epoch: str = ""
    seq: int = 0
    reason: str = ""
    from_: int = msgspec.field(name="from", default=0)
    to: int = 0


class _Card(msgspec.Struct):
    offer_id: str


class _Snapshot(msgspec.Struct):
    seq: int
    presence: str
    offers: tuple[_Card, ...]


class RawPhone(asyncio.Protocol):
    """One driver's phone over all its connections. place: latitude and longitude.

    answers: how its openings were answered. broken: promises it saw broken. bytes_received: of its present connection.
    """

    def __init__(self, number: int, token: str, place: tuple[float, float], fleet: Fleet) -> None:
        self.number, self.token, self.place = number, token, place
        self._fleet = fleet
        self.transport: asyncio.Transport | None = None
        self.seq = 0
        self.offers: set[bytes] = set()
        self.live = False
        self.presence = "offline"
        self.answers: list[str] = []
        self.closes: list[int] = []
        self.broken: list[str] = []
        self.bytes_received = 0
        self.reads = True
        self.local_port = 0
        self._place_in_session: tuple[str, str] | None = None
        self._handshaking = True
        self._head = b""
        self._splitter = FrameSplitter()
        self._replay_to: int | None = None
        self._ack_planned = False
        self._close_code = ABNORMAL

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.local_port = self.transport.get_extra_info("sockname")[1]
        self._handshaking, self._head, self._splitter = True, b"", FrameSplitter()
        self._close_code = ABNORMAL
        self._ack_planned = False
        self.bytes_received = 0
        self.transport.write(self._fleet.request(self.token))

    def data_received(self, data: bytes) -> None:
        self.bytes_received += len(data)
        if self._handshaking:
            self._head += data
            head, found, data = self._head.partition(HEAD_END)
            if not found:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self._abandon(head[:60].decode(errors="replace"))
                return
            self._handshaking, self._head = False, b""
            self._fleet.upgraded()
            self.send(self._hello())
        for frame in self._splitter.feed(data):
            if frame.opcode == CLOSE:
                self._close_code = int.from_bytes(frame.payload[:2])
                if self.transport is not None:
                    self.transport.close()
                return
            self._frame(frame.payload)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        was, self.transport, self.live = self.live, None, False
        self.closes.append(self._close_code)
        self._fleet.lost(self, self._close_code, was_live=was)

    # What a test does with it

    def cut(self) -> None:
        """The radio is gone: the connection ends without a word."""
        if self.transport is not None:
            self.transport.abort()

    def stop_reading(self) -> None:
        """Asleep with its socket open: nothing is read, nothing acknowledged."""
        self.reads = False
        if self.transport is not None:
            self.transport.pause_reading()

    def read_again(self) -> None:
        self.reads = True
        if self.transport is not None:
            self.transport.resume_reading()

    def send(self, message: dict[str, object]) -> None:
        if self.transport is not None:
            self.transport.write(client_text(json.dumps(message, separators=(",", ":")).encode()))

    def heartbeat(self) -> None:
        if self.transport is not None and self.live and self.reads:
            self.transport.write(_HEARTBEAT)

    def acknowledge(self) -> None:
        """The time of a planned ack has come."""
        self._ack_planned = False
        if self.transport is not None and self.live and self.reads:
            self.transport.write(client_text(b'{"type":"ack","seq":%d}' % self.seq))

    # Frames

    def _hello(self) -> dict[str, object]:
        lat, lon = self.place
        resume = None
        if self._place_in_session is not None:
            sid, epoch = self._place_in_session
            resume = {"sid": sid, "epoch": epoch, "seq": self.seq}
        return {
            "type": "hello",
            "app_version": "load-test",
            "device_id": f"raw-{self.number}",
            "position": {"lat": lat, "lon": lon, "at": self._fleet.now_text(), "accuracy_m": 5},
            "resume": resume,
        }

    def _frame(self, payload: bytes) -> None:
        if payload.startswith(_FACT):
            self._fact(payload)
        elif payload.startswith(_OPENINGS):
            self._opening(msgspec.json.decode(payload, type=_Opening))
        elif payload.startswith(b'{"type":"snapshot"'):
            self._snapshot(msgspec.json.decode(payload, type=_Snapshot))
        elif payload.startswith(b'{"type":"live"'):
            if self.seq != self._replay_to:
                self._break(f"live at {self.seq}, the replay was to go to {self._replay_to}")
            self._went_live()
        elif payload.startswith(b'{"type":"result"'):
            self._fleet.answered(self, payload)

    def _fact(self, payload: bytes) -> None:
        seq = int(payload[_SEQ])
        if seq != self.seq + 1:
            self._break(f"fact {seq} after {self.seq}")
        self.seq = seq
        if payload.startswith(b"offer.", _KIND_AT):
            # Bodies come as PostgreSQL writes them, with blanks.
            at = payload.index(b'"', payload.index(_OFFER_ID) + len(_OFFER_ID)) + 1
            offer_id = payload[at : at + _UUID_CHARS]
            if payload.startswith(b"gone", _KIND_AT + 6):
                self.offers.discard(offer_id)
            elif offer_id not in self.offers:
                self.offers.add(offer_id)
                self._fleet.offered(self, offer_id)
        if not self._ack_planned and self.reads:
            self._ack_planned = True
            self._fleet.plan_ack(self)

    def _opening(self, opening: _Opening) -> None:
        self.answers.append(opening.type if not opening.reason else f"{opening.type} {opening.reason}")
        if opening.type == "resumed":
            if opening.from_ != self.seq:
                self._break(f"resumed from {opening.from_}, not {self.seq}")
            self._replay_to = opening.to
        else:
            self._place_in_session = (opening.sid, opening.epoch)
            self.seq = opening.seq

    def _snapshot(self, snapshot: _Snapshot) -> None:
        self.seq, self.presence = snapshot.seq, snapshot.presence
        self.offers = {card.offer_id.encode() for card in snapshot.offers}
        self._went_live()

    def _went_live(self) -> None:
        self._replay_to = None
        self.live = True
        self._fleet.opened(self)

    def _break(self, text: str) -> None:
        self.broken.append(f"phone {self.number}: {text}")

    def _abandon(self, reason: str) -> None:
        self._break(f"no WebSocket: {reason}")
        if self.transport is not None:
            self.transport.abort()
