"""WebSocket frames as bytes (RFC 6455): cut out of a stream undecoded, and made with as little work as possible."""

from __future__ import annotations

from typing import Final, NamedTuple

TEXT: Final = 0x1
CLOSE: Final = 0x8
_FIN: Final = 0x80
_MASKED: Final = 0x80
_OPCODE: Final = 0x0F
_LENGTH_16_BITS: Final = 126
_LENGTH_64_BITS: Final = 127
_SHORT_BYTES_MAX: Final = 125
_MASK_BYTES: Final = 4
HEAD_END: Final = b"\r\n\r\n"


class Frame(NamedTuple):
    """raw: header and payload as they came. header_bytes: where the payload begins."""

    raw: bytes
    header_bytes: int

    @property
    def opcode(self) -> int:
        return self.raw[0] & _OPCODE

    @property
    def whole_text(self) -> bool:
        """A text message in one frame."""
        return self.raw[0] == _FIN | TEXT

    @property
    def payload(self) -> bytes:
        """As it travels: masked, when a client sent it."""
        return self.raw[self.header_bytes :]


class FrameSplitter:
    """Bytes in, whole frames out."""

    def __init__(self) -> None:
        self._left = b""

    def feed(self, data: bytes) -> list[Frame]:
        data = self._left + data if self._left else data
        frames: list[Frame] = []
        begin, available = 0, len(data)
        while available - begin >= 2:
            length = data[begin + 1] & ~_MASKED
            header = 2
            if length == _LENGTH_16_BITS:
                header = 4
            elif length == _LENGTH_64_BITS:
                header = 10
            if available - begin < header:
                break
            if header > 2:
                length = int.from_bytes(data[begin + 2 : begin + header])
            if data[begin + 1] & _MASKED:
                header += _MASK_BYTES
            end = begin + header + length
            if end > available:
                break
            frames.append(Frame(data[begin:end], header))
            begin = end
        self._left = data[begin:]
        return frames


def client_text(payload: bytes) -> bytes:
    """A client's text frame. Its mask is zero: legal on the wire, and nothing has to be computed."""
    length = len(payload)
    if length <= _SHORT_BYTES_MAX:
        return bytes((_FIN | TEXT, _MASKED | length, 0, 0, 0, 0)) + payload
    header = bytes((_FIN | TEXT, _MASKED | _LENGTH_16_BITS)) + length.to_bytes(2)
    return header + bytes(_MASK_BYTES) + payload


def upgrade_request(host: str, path: str, token: str, subprotocol: str) -> bytes:
    """The opening handshake of an app."""
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Protocol: {subprotocol}",
        f"Authorization: Bearer {token}",
    )
    return "\r\n".join(lines).encode() + HEAD_END
