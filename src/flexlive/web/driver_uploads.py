"""Bytes from a driver's app, and for operators. Never shown inside a page: what a driver sent is no part of ours."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Final

from litestar import Router, get, put
from litestar.exceptions import InternalServerException
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType
from litestar.params import FromQuery, PathParameter
from litestar.response import File

from flexlive.domain.errors import ErrorCode as E
from flexlive.domain.errors import FlexliveError
from flexlive.protocol import driver_http as wire
from flexlive.services import uploads
from flexlive.storage.upload_store import UPLOAD_BYTES_MAX
from flexlive.web.auth import driver_of, require_driver, require_ops
from flexlive.web.dependencies import Ctx, IdPath, MarketPath, Uploads, ops_dependency
from flexlive.web.errors import AnyRequest, problems

UploadIdPath = Annotated[str, PathParameter(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._~-]+(?![\s\S])")]
_HEX: Final = re.compile(r"[0-9a-f]{64}")
_DIGEST: Final = re.compile(r"sha-256=(?::([A-Za-z0-9+/=]{44}):|([A-Za-z0-9+/=]{44}))", re.IGNORECASE)


@dataclass
class _RawBody(Operation):
    """The bytes themselves as the body; the handler reads them as they come, so Litestar does not see one."""

    def __post_init__(self) -> None:
        media = OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY))
        self.request_body = RequestBody(required=True, content={"application/octet-stream": media})


@put(
    "/v1/driver/uploads/{upload_id:str}",
    operation_id="putUpload",
    operation_class=_RawBody,
    guards=[require_driver],
    request_max_body_size=UPLOAD_BYTES_MAX,
    security=[{"driver": []}],
    tags=["driver"],
    responses=problems(
        (
            E.INVALID, E.UNAUTHORIZED, E.TOKEN_EXPIRED, E.DEACTIVATED, E.CONFLICT, E.TOO_LARGE, E.UNSUPPORTED,
            E.RATE_LIMITED, E.UNAVAILABLE, E.DATABASE_UNAVAILABLE, E.OUTCOME_UNKNOWN,
        )
    ),
)  # fmt: skip
async def put_upload(
    ctx: Ctx, store: Uploads, request: AnyRequest, upload_id: UploadIdPath, sha256: FromQuery[str | None] = None
) -> wire.Upload:
    """Store a photo, a signature or a document under an id of the app's choice. Safe to repeat with the same bytes."""
    expected = _expected(request, sha256)
    return await uploads.receive(ctx, store, driver_of(request), upload_id, _body(request), expected)


@get(
    "/v1/ops/markets/{market_id:str}/drivers/{driver_id:uuid}/uploads/{upload_id:str}",
    operation_id="getUpload",
    guards=[require_ops],
    dependencies=ops_dependency,
    media_type="application/octet-stream",
    security=[{"ops": []}],
    tags=["operations"],
    responses=problems(
        (
            E.INVALID, E.UNAUTHORIZED, E.FORBIDDEN, E.MARKET_UNKNOWN, E.NOT_FOUND, E.RATE_LIMITED, E.UNAVAILABLE,
            E.DATABASE_UNAVAILABLE,
        )
    ),
)  # fmt: skip
async def get_upload(
    ctx: Ctx, store: Uploads, market_id: MarketPath, driver_id: IdPath, upload_id: UploadIdPath
) -> File:
    """What a driver sent, as a file to be saved."""
    path, filename = await uploads.stored(ctx, store, market_id, driver_id, upload_id)
    return File(
        path=path,
        filename=filename,
        media_type="application/octet-stream",
        content_disposition_type="attachment",
        headers={
            "x-content-type-options": "nosniff",
            "content-security-policy": "default-src 'none'; sandbox",
            "cache-control": "no-store",
        },
    )


async def _body(request: AnyRequest) -> AsyncGenerator[bytes]:
    chunks = request.stream()
    while True:
        try:
            chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except InternalServerException:
            # How Litestar says that the phone is gone; nobody reads the answer.
            raise FlexliveError(E.INVALID, "the body was cut short") from None
        if chunk:
            yield chunk


def _expected(request: AnyRequest, sha256: str | None) -> list[bytes]:
    """Hashes sent beside the bytes: the query's in hex, a Content-Digest (RFC 9530) or Digest header in base64."""
    found: list[bytes] = []
    if sha256 is not None:
        if _HEX.fullmatch(sha256) is None:
            raise FlexliveError(E.INVALID, "sha256 is 64 lowercase hex digits")
        found.append(bytes.fromhex(sha256))
    for name in ("content-digest", "digest"):
        for value in request.headers.getall(name, []):
            for framed, bare in _DIGEST.findall(value):
                with suppress(binascii.Error):
                    found.append(base64.b64decode(framed or bare, validate=True))
    return found


router = Router(path="/", route_handlers=[put_upload, get_upload])
