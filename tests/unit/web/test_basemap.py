"""What may lie under the map, and which bytes of a file a Range header means."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexlive.settings import SettingsError, load
from flexlive.web import basemap


def archive(folder: Path, content: bytes = b"x" * 200_000) -> Path:
    path = folder / "town.pmtiles"
    path.write_bytes(b"PMTiles\x03" + content)
    return path


def test_what_may_be_set(tmp_path: Path) -> None:
    assert basemap.parse(None) == basemap.parse("") == basemap.Basemap()
    style = basemap.parse("https://tiles.example.com/a.json")
    assert (style.kind, style.origin) == ("style", "https://tiles.example.com")
    local = basemap.parse(str(archive(tmp_path)))
    assert (local.kind, local.url, local.origin) == ("pmtiles", basemap.ADDRESS, "")


@pytest.mark.parametrize(
    "text",
    [
        "https://", "https://user:pw@tiles.example.com/a", "https://a b/c", "https://x;script-src *", "ftp://x/y",
        "town.mbtiles", "no-such-town.pmtiles",
    ],
)  # fmt: skip
def test_what_stops_the_start(text: str) -> None:
    with pytest.raises(ValueError):
        basemap.parse(text)
    with pytest.raises(SettingsError, match="FLEXLIVE_BASEMAP"):
        load({"FLEXLIVE_BASEMAP": text})


def test_a_file_that_is_no_archive_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "fake.pmtiles"
    path.write_bytes(b"SQLite format 3")
    with pytest.raises(ValueError, match="no PMTiles"):
        basemap.parse(str(path))


@given(first=st.integers(0, 300), last=st.none() | st.integers(0, 300), size=st.integers(1, 200))
def test_a_range_is_the_part_of_the_file_it_names(first: int, last: int | None, size: int) -> None:
    found = basemap.slice_of(f"bytes={first}-{'' if last is None else last}", size)
    wanted = bytes(range(size))[first : None if last is None else last + 1]
    assert (b"" if found is None else bytes(range(size))[found.first : found.last + 1]) == wanted
    if found is not None:
        assert found.length_bytes == len(wanted)
        assert not found.whole


@pytest.mark.parametrize(
    "header", [None, "", "bytes=-5", "bytes=1-2,4-5", "lines=1-2", "bytes=x-y", "bytes=" + "9" * 30]
)
def test_other_ranges_mean_the_whole_file(header: str | None) -> None:
    found = basemap.slice_of(header, 10)
    assert found == basemap.Slice(0, 9, 10, whole=True)


async def test_reading_gives_exactly_these_bytes(tmp_path: Path) -> None:
    path = archive(tmp_path, bytes(range(256)) * 1000)
    wanted = basemap.slice_of("bytes=100-199999", path.stat().st_size)
    assert wanted is not None
    assert b"".join([chunk async for chunk in basemap.read(path, wanted)]) == path.read_bytes()[100:200_000]
