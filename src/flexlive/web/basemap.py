"""What lies under the map: nothing, a style of the operator's choice, or a local .pmtiles file that this server hands
out piece by piece."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

ADDRESS: Final = "/static/basemap.pmtiles"
MEDIA_TYPE: Final = "application/vnd.pmtiles"
CHUNK_BYTES: Final = 64 * 1024
_RANGE: Final = re.compile(r"bytes=([0-9]{1,18})-([0-9]{0,18})")
_MAGIC: Final = b"PMTiles\x03"


@dataclass(frozen=True, slots=True)
class Basemap:
    """kind pmtiles: `path` is the file and `url` where this server hands it out. kind style: `url` is a MapLibre
    style and `origin` the one foreign host the page may then speak to."""

    kind: Literal["blank", "style", "pmtiles"] = "blank"
    url: str = ""
    origin: str = ""
    path: Path | None = None


def parse(text: str | None) -> Basemap:
    """FLEXLIVE_BASEMAP. ValueError says what is wrong with it."""
    if not text:
        return Basemap()
    if re.match(r"https?://", text):
        parts = urlsplit(text)
        # It becomes a word of a header: nothing but a plain host and port.
        if not parts.hostname or not re.fullmatch(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?", parts.netloc):
            raise ValueError("a style URL needs a plain host, and no credentials")
        return Basemap("style", text, f"{parts.scheme}://{parts.netloc}")
    path = Path(text)
    if path.suffix != ".pmtiles":
        raise ValueError("expected http(s)://… of a MapLibre style, or the path of a .pmtiles file")
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    if magic != _MAGIC:
        raise ValueError(f"{path} is no PMTiles archive of version 3")
    return Basemap("pmtiles", ADDRESS, path=path.resolve())


@dataclass(frozen=True, slots=True)
class Slice:
    """Bytes first..last of a file of size_bytes; whole: no range was asked for. Empty when first > last."""

    first: int
    last: int
    size_bytes: int
    whole: bool

    @property
    def content_range(self) -> str:
        return f"bytes {self.first}-{self.last}/{self.size_bytes}"

    @property
    def length_bytes(self) -> int:
        return max(0, self.last - self.first + 1)


def slice_of(header: str | None, size_bytes: int) -> Slice | None:
    """What a Range header asks for; None when no byte of the file is in it. Other forms than one range of bytes from
    the beginning are ignored, as HTTP allows."""
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None:
        return Slice(0, size_bytes - 1, size_bytes, whole=True)
    first = int(match[1])
    last = min(int(match[2]), size_bytes - 1) if match[2] else size_bytes - 1
    if first >= size_bytes or first > last:
        return None
    return Slice(first, last, size_bytes, whole=False)


async def read(path: Path, wanted: Slice) -> AsyncGenerator[bytes]:
    """The bytes, a chunk at a time, read beside the event loop."""
    file = await asyncio.to_thread(path.open, "rb")
    try:
        await asyncio.to_thread(file.seek, wanted.first)
        left = wanted.length_bytes
        while left > 0 and (chunk := await asyncio.to_thread(file.read, min(CHUNK_BYTES, left))):
            left -= len(chunk)
            yield chunk
    finally:
        file.close()
