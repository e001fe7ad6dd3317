"""The smallest PMTiles archive (version 3) that is one: a single raster tile of one colour for the whole world."""

from __future__ import annotations

import gzip
import struct
import zlib

_HEADER_BYTES = 127
_PNG, _GZIP, _NONE = 2, 2, 1


def one_tile(rgb: tuple[int, int, int] = (200, 60, 60)) -> bytes:
    """The archive as bytes."""
    tile = _png(rgb)
    # One entry: tile id 0, run length 1, its length, offset 0 (stored plus one).
    root = gzip.compress(b"".join(_varint(number) for number in (1, 0, 1, len(tile), 1)))
    metadata = gzip.compress(b'{"attribution":"Made for a test"}')
    root_at = _HEADER_BYTES
    metadata_at = root_at + len(root)
    data_at = metadata_at + len(metadata)
    sections = struct.pack("<8Q", root_at, len(root), metadata_at, len(metadata), data_at, 0, data_at, len(tile))
    counts = struct.pack("<3Q", 1, 1, 1)
    kinds = struct.pack("<6B", 1, _GZIP, _NONE, _PNG, 0, 0)
    bounds = struct.pack("<4i", -1_800_000_000, -850_000_000, 1_800_000_000, 850_000_000)
    centre = struct.pack("<B2i", 0, 0, 0)
    header = b"PMTiles\x03" + sections + counts + kinds + bounds + centre
    assert len(header) == _HEADER_BYTES
    return header + root + metadata + tile


def _png(rgb: tuple[int, int, int], side: int = 256) -> bytes:
    rows = (b"\x00" + bytes(rgb) * side) * side
    header = struct.pack(">2I5B", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    )


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)
