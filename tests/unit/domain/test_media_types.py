"""Only the first bytes say what a file is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flexlive.domain.media_types import EXTENSIONS, HEAD_BYTES, sniff

HEADS = {
    b"\xff\xd8\xff\xe1": "image/jpeg",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"RIFF\x00\x01\x02\x03WEBP": "image/webp",
    b"\x00\x00\x00\x18ftypheic": "image/heic",
    b"\x00\x00\x00\x18ftypmif1": "image/heic",
    b"%PDF-1.4": "application/pdf",
}


@given(st.sampled_from(sorted(HEADS)), st.binary(min_size=HEAD_BYTES, max_size=64))
def test_each_type_is_known_by_its_first_bytes_whatever_follows(head: bytes, rest: bytes) -> None:
    assert sniff((head + rest)[:HEAD_BYTES]) == HEADS[head]
    assert sniff(head[: HEAD_BYTES - 1]) is None


@given(st.binary(max_size=64))
def test_everything_else_is_none_of_them(data: bytes) -> None:
    known = sniff(data)
    assert known is None or (
        known in EXTENSIONS and any(data[:4] == head[:4] or data[4:8] == b"ftyp" for head in HEADS)
    )


def test_pages_and_programs_are_refused() -> None:
    for head in (b"<html>", b"<svg xmlns=", b"#!/bin/sh", b"MZ", b"\x7fELF", b"GIF89a", b"PK\x03\x04", b"RIFF1234WAVE",
                 b"\x00\x00\x00\x18ftypmp42", b" %PDF-", b"\x00\xff\xd8\xff"):  # fmt: skip
        assert sniff(head.ljust(64, b" ")) is None, head
