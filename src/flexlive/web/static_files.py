"""The page's own files and the vendored libraries, by exact name; nothing else below static/ is served."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath
from typing import Final, TypedDict, cast

_MEDIA_TYPES: Final = {
    ".css": "text/css", ".js": "text/javascript", ".mjs": "text/javascript", ".svg": "image/svg+xml",
}  # fmt: skip
_OWN: Final = frozenset({"track.css", "track.js", "track-stream.js", "track-map.js", "track-basemap.js", "track.svg"})
GZIP_LEVEL: Final = 6
OWN_MAX_AGE_SECONDS: Final = 300
VENDORED_MAX_AGE_SECONDS: Final = 365 * 86_400


class _Package(TypedDict):
    name: str
    files: dict[str, str]


@dataclass(frozen=True, slots=True)
class StaticFile:
    """compressed: the same as gzip. cache_control: a vendored file's address carries its version, so it never
    changes."""

    content: bytes
    compressed: bytes
    media_type: str
    etag: str
    cache_control: str


def _folder() -> Traversable:
    return files("flexlive.web").joinpath("static")


@cache
def _vendored() -> dict[str, str]:
    """Path below vendor/ → package name, for every file of VENDORED.json."""
    listed = cast("dict[str, list[_Package]]", json.loads(_folder().joinpath("vendor", "VENDORED.json").read_text()))
    return {path: package["name"] for package in listed["packages"] for path in package["files"]}


def vendored_url(file_name: str) -> str:
    """The address of a vendored file by its own name, which carries the version. LookupError when there is none."""
    found = [path for path in _vendored() if PurePosixPath(path).name == file_name]
    if not found:
        raise LookupError(file_name)
    return f"/static/vendor/{found[0]}"


@cache
def own_file(name: str) -> StaticFile | None:
    """A file of the page by its exact name; None for every other name."""
    return _load((name,), OWN_MAX_AGE_SECONDS, "") if name in _OWN else None


@cache
def vendored_file(path: str) -> StaticFile | None:
    """`<package>-<version>/<file>`, as VENDORED.json lists it; None for every other path."""
    if path not in _vendored():
        return None
    return _load(("vendor", *path.split("/")), VENDORED_MAX_AGE_SECONDS, ", immutable")


def _load(parts: tuple[str, ...], max_age_seconds: int, more: str) -> StaticFile:
    content = _folder().joinpath(*parts).read_bytes()
    return StaticFile(
        content,
        gzip.compress(content, GZIP_LEVEL, mtime=0),
        _MEDIA_TYPES[PurePosixPath(parts[-1]).suffix],
        f'"{sha256(content).hexdigest()[:16]}"',
        f"public, max-age={max_age_seconds}{more}",
    )
