"""Bytes a driver sends by HTTP: photos, signatures, documents. Stored under their hash, shown to operators only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from datetime import timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

import structlog

from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.domain.media_types import EXTENSIONS, HEAD_BYTES, sniff
from flexlive.protocol import driver_http as wire
from flexlive.services.context import Context
from flexlive.services.drivers import DriverPrincipal
from flexlive.storage import drivers as driver_rows
from flexlive.storage import uploads as rows
from flexlive.storage.pool import Connection
from flexlive.storage.transaction import transaction
from flexlive.storage.upload_store import (
    UPLOAD_BYTES_MAX,
    Incoming,
    StoreBusyError,
    StoreFailedError,
    TooManyBytesError,
    UploadStore,
)
from flexlive.storage.uploads import UploadRow

_DAY: Final = timedelta(days=1)
_log = structlog.get_logger(__name__)


async def receive(
    ctx: Context,
    store: UploadStore,
    driver: DriverPrincipal,
    upload_id: str,
    chunks: AsyncIterator[bytes],
    expected: Collection[bytes],
) -> wire.Upload:
    """Take the bytes in and keep them. The same bytes under the same id are stored once, whenever they come again.

    expected: SHA-256 the sender names beside the bytes; each must be right.
    FlexliveError: invalid (none, cut short, too slow, not the expected bytes), too_large, unsupported (no type we
    take), conflict (another hash stands for this id), rate_limited, unavailable (the disk refuses; nothing is kept).
    """
    now = ctx.clock()
    known = await rows.announced(ctx.pool, driver.market_id, driver.driver_id, upload_id)
    sent_today = await rows.count_since(ctx.pool, driver.market_id, driver.driver_id, now - _DAY)
    if sent_today >= store.options.uploads_per_driver_and_day_max:
        raise FlexliveError(ErrorCode.RATE_LIMITED, "too many uploads in a day")
    try:
        async with store.incoming(str(driver.driver_id)) as incoming:
            media_type = await _read(incoming, chunks, store.options.body_seconds_max)
            sha256 = incoming.sha256
            if any(each != sha256 for each in expected):
                raise FlexliveError(ErrorCode.INVALID, "the bytes are not those of the SHA-256 given with them")
            _refuse_other(known, sha256)
            await incoming.keep(driver.market_id)
            row = UploadRow(upload_id, sha256, media_type, incoming.size_bytes, now)
    except StoreBusyError:
        raise FlexliveError(ErrorCode.RATE_LIMITED, "too many uploads at once") from None
    except TooManyBytesError:
        raise FlexliveError(ErrorCode.TOO_LARGE, f"at most {UPLOAD_BYTES_MAX} bytes") from None
    except StoreFailedError as error:
        raise _unavailable(driver.market_id, error) from error
    return _shown(await _record(ctx, driver, row))


async def contradicts(conn: Connection, market_id: str, driver_id: UUID, upload_id: str, sha256: bytes) -> bool:
    """Whether the driver's upload_id stands for other bytes already: stored, or announced by a proof. The caller holds
    the driver's row, so that an upload under way is seen or sees the caller."""
    return bool(await rows.announced(conn, market_id, driver_id, upload_id) - {sha256})


async def stored(ctx: Context, store: UploadStore, market_id: str, driver_id: UUID, upload_id: str) -> tuple[Path, str]:
    """(where the bytes lie, a file name for them), for operators. FlexliveError: not_found, unavailable."""
    row = await rows.get(ctx.pool, market_id, driver_id, upload_id)
    if row is None:
        raise FlexliveError(ErrorCode.NOT_FOUND)
    try:
        there = await store.has(market_id, row.sha256)
    except StoreFailedError as error:
        raise _unavailable(market_id, error) from error
    if not there:
        _log.warning("upload_missing", market_id=market_id, sha256=row.sha256.hex())
        raise FlexliveError(ErrorCode.UNAVAILABLE, "the bytes are not in this server's upload store")
    return store.path(market_id, row.sha256), f"{row.sha256.hex()[:16]}.{EXTENSIONS[row.media_type]}"


async def _read(incoming: Incoming, chunks: AsyncIterator[bytes], seconds_max: float) -> str:
    """All of the body; its media type. Refused as soon as the first bytes say that it is of no use."""
    try:
        async with asyncio.timeout(seconds_max):
            async for chunk in chunks:
                await incoming.write(chunk)
                if len(incoming.head) >= HEAD_BYTES:
                    _type_of(incoming)
    except TimeoutError:
        raise FlexliveError(ErrorCode.INVALID, f"the body did not arrive within {seconds_max:g} s") from None
    if not incoming.size_bytes:
        raise FlexliveError(ErrorCode.INVALID, "the body is empty")
    return _type_of(incoming)


def _type_of(incoming: Incoming) -> str:
    media_type = sniff(incoming.head)
    if media_type is None:
        raise FlexliveError(ErrorCode.UNSUPPORTED, f"one of {', '.join(EXTENSIONS)}, by its bytes")
    return media_type


async def _record(ctx: Context, driver: DriverPrincipal, row: UploadRow) -> UploadRow:
    async with transaction(ctx.pool) as conn:
        await driver_rows.lock(conn, driver.market_id, [driver.driver_id])
        _refuse_other(await rows.announced(conn, driver.market_id, driver.driver_id, row.upload_id), row.sha256)
        if await rows.insert(conn, driver.market_id, driver.driver_id, row):
            return row
        return await rows.get(conn, driver.market_id, driver.driver_id, row.upload_id) or row


def _refuse_other(known: Collection[bytes], sha256: bytes) -> None:
    if any(each != sha256 for each in known):
        raise FlexliveError(ErrorCode.CONFLICT, "this upload_id stands for other bytes")


def _unavailable(market_id: str, error: StoreFailedError) -> FlexliveError:
    _log.warning("upload_store_failed", market_id=market_id, error=str(error))
    return FlexliveError(ErrorCode.UNAVAILABLE, "uploads cannot be stored at the moment")


def _shown(row: UploadRow) -> wire.Upload:
    return wire.Upload(
        upload_id=row.upload_id,
        sha256=row.sha256.hex(),
        media_type=row.media_type,
        size_bytes=row.size_bytes,
        created_at=row.created_at,
    )
