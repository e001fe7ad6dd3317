"""What kind of file the first bytes say it is; names and headers of a sender say nothing. Pure."""

from __future__ import annotations

from typing import Final

HEAD_BYTES: Final = 16
"""As many first bytes decide."""

EXTENSIONS: Final = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "image/heic": "heic",
    "application/pdf": "pdf",
}
"""Every type that is taken, with the ending of its files."""

_PREFIXES: Final = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"%PDF-", "application/pdf"),
)
_HEIC_BRANDS: Final = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"})


def sniff(head: bytes) -> str | None:
    """The media type, one of EXTENSIONS; None for everything else and for fewer than HEAD_BYTES."""
    if len(head) < HEAD_BYTES:
        return None
    for prefix, media_type in _PREFIXES:
        if head.startswith(prefix):
            return media_type
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    # ISO base media: size, "ftyp", brand. Phones write HEIC this way.
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS:
        return "image/heic"
    return None
