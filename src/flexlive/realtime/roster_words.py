"""What processes tell one another of their drivers, as bytes: who speaks, how new it is, and a list of drivers.

25 bytes a driver. A word has a number that rises with every message of its process, so that one that was overtaken or
doubled on the way cannot undo a later one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Final

CONNECTED: Final = 1
UNREACHABLE: Final = 2
"""Bits of an entry. Without CONNECTED the driver has just left the process."""

_HEAD: Final = Struct("!16sQ")
_ENTRY: Final = Struct("!16sdB")


@dataclass(frozen=True, slots=True)
class Word:
    """process: 16 bytes of the speaker. entries: (driver, claimed_at in epoch seconds, bits)."""

    process: bytes
    number: int
    entries: Iterator[tuple[bytes, float, int]]


def encode(process: bytes, number: int, entries: Iterable[tuple[bytes, float, int]]) -> bytes:
    return _HEAD.pack(process, number) + b"".join(_ENTRY.pack(*entry) for entry in entries)


def decode(payload: bytes) -> Word | None:
    """None when these bytes are no word."""
    if len(payload) < _HEAD.size or (len(payload) - _HEAD.size) % _ENTRY.size:
        return None
    process, number = _HEAD.unpack_from(payload)
    return Word(process, number, _ENTRY.iter_unpack(memoryview(payload)[_HEAD.size :]))


def speaker(payload: bytes) -> bytes:
    """Who says this, without reading the rest."""
    return payload[:16]
