"""The files behind the customer's page: its own, the vendored libraries, and the base map piece by piece."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from litestar import Response, Router, get
from litestar.params import FromPath
from litestar.response import Stream

from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.web import basemap, static_files
from flexlive.web.basemap import Slice
from flexlive.web.dependencies import PageBasemap
from flexlive.web.errors import AnyRequest
from flexlive.web.static_files import StaticFile

NOSNIFF: Final = {"x-content-type-options": "nosniff"}


@get("/static/{name:str}", include_in_schema=False)
async def own_file(request: AnyRequest, name: FromPath[str]) -> Response[bytes]:
    """The page's own style and scripts by exact name."""
    return _answer(request, static_files.own_file(name))


@get("/static/vendor/{folder:str}/{name:str}", include_in_schema=False)
async def vendored_file(request: AnyRequest, folder: FromPath[str], name: FromPath[str]) -> Response[bytes]:
    """A library that ships with this server; see VENDORED.json."""
    # The first one is read and compressed, which takes a moment: beside the event loop.
    return _answer(request, await asyncio.to_thread(static_files.vendored_file, f"{folder}/{name}"))


@get(basemap.ADDRESS, include_in_schema=False)
async def basemap_file(request: AnyRequest, page_basemap: PageBasemap) -> Response[bytes] | Stream:
    """Bytes of the .pmtiles file; the map asks for the ranges it needs."""
    path = page_basemap.path
    if path is None:
        raise FlexliveError(ErrorCode.NOT_FOUND)
    size_bytes, etag = await asyncio.to_thread(_stat, path)
    headers = {"accept-ranges": "bytes", "etag": etag, "cache-control": "public, max-age=3600", **NOSNIFF}
    asked = request.headers.get("range")
    if request.headers.get("if-range", etag) != etag:
        # The file is another one now; pieces of two would not fit together.
        asked = None
    wanted = basemap.slice_of(asked, size_bytes)
    if wanted is None:
        headers["content-range"] = f"bytes */{size_bytes}"
        return Response(b"", status_code=416, media_type=basemap.MEDIA_TYPE, headers=headers)
    return _stream(path, wanted, headers)


def _stream(path: Path, wanted: Slice, headers: dict[str, str]) -> Stream:
    headers["content-length"] = str(wanted.length_bytes)
    if not wanted.whole:
        headers["content-range"] = wanted.content_range
    return Stream(
        basemap.read(path, wanted),
        status_code=200 if wanted.whole else 206,
        media_type=basemap.MEDIA_TYPE,
        headers=headers,
    )


def _stat(path: Path) -> tuple[int, str]:
    try:
        found = path.stat()
    except OSError:
        raise FlexliveError(ErrorCode.NOT_FOUND) from None
    return found.st_size, f'"{found.st_size:x}-{found.st_mtime_ns:x}"'


def _answer(request: AnyRequest, found: StaticFile | None) -> Response[bytes]:
    if found is None:
        raise FlexliveError(ErrorCode.NOT_FOUND)
    headers = {"cache-control": found.cache_control, "etag": found.etag, "vary": "accept-encoding", **NOSNIFF}
    if request.headers.get("if-none-match") == found.etag:
        return Response(b"", status_code=304, media_type=found.media_type, headers=headers)
    content = found.content
    if "gzip" in request.headers.get("accept-encoding", ""):
        content, headers["content-encoding"] = found.compressed, "gzip"
    return Response(content, media_type=found.media_type, headers=headers)


router = Router(path="/", route_handlers=[own_file, vendored_file, basemap_file])
