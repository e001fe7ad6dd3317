"""The driver protocol's description, beside the one of the HTTP addresses."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Final

import msgspec
from litestar import Response, Router, get

from flexlive.protocol.asyncapi import asyncapi_document

MAX_AGE_SECONDS: Final = 300


@cache
def _document() -> bytes:
    return msgspec.json.encode(asyncapi_document(version("flexlive")))


@get("/schema/asyncapi.json", include_in_schema=False)
async def asyncapi() -> Response[bytes]:
    """AsyncAPI 3 of `/v1/driver`."""
    headers = {"cache-control": f"public, max-age={MAX_AGE_SECONDS}"}
    return Response(_document(), media_type="application/json", headers=headers)


router = Router(path="/", route_handlers=[asyncapi])
