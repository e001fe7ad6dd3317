"""Bytes on disk under their SHA-256: durable when kept, never half there, nothing of a sender in a path.

    <root>/<market_id>/<first two hex digits>/<sha256 in hex>
    <root>/.incoming/…   what is still arriving

Several server processes may share one root.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, TypeVar, cast

from flexlive.domain.media_types import HEAD_BYTES

UPLOAD_BYTES_MAX: Final = 8 * 1024 * 1024
BUFFER_BYTES: Final = 256 * 1024
LEFTOVER_SECONDS: Final = 3600.0
"""An arriving file this old belongs to a process that was killed."""

T = TypeVar("T")


class StoreFailedError(Exception):
    """The disk refused (full, read-only, gone); nothing was kept. str() names the error, not the file."""


class StoreBusyError(Exception):
    """Too many uploads at once, of this driver or of all."""


class TooManyBytesError(Exception):
    """More than UPLOAD_BYTES_MAX arrived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadOptions:
    """Bounds of what drivers send by HTTP; at_once counts in this process."""

    body_seconds_max: float = 120.0
    uploads_per_driver_and_day_max: int = 200
    at_once_max: int = 64
    at_once_per_driver_max: int = 4


class Incoming:
    """One file as it arrives. head: its first bytes. size_bytes and sha256: of everything written so far."""

    def __init__(self, store: UploadStore, file: BinaryIO) -> None:
        self._store = store
        self._file = file
        self._pending = bytearray()
        self._hash = hashlib.sha256()
        self.head = b""
        self.size_bytes = 0

    @property
    def sha256(self) -> bytes:
        return self._hash.digest()

    async def write(self, chunk: bytes) -> None:
        """TooManyBytesError before the byte that is too many is held; StoreFailedError."""
        if self.size_bytes + len(chunk) > UPLOAD_BYTES_MAX:
            raise TooManyBytesError
        self.size_bytes += len(chunk)
        if len(self.head) < HEAD_BYTES:
            self.head = (self.head + chunk)[:HEAD_BYTES]
        self._hash.update(chunk)
        self._pending += chunk
        if len(self._pending) >= BUFFER_BYTES:
            await self._flush()

    async def keep(self, market_id: str) -> None:
        """On disk for good when this returns, under its hash. StoreFailedError: as if it had never come."""
        await self._flush()
        target = self._store.path(market_id, self.sha256)
        await _on_disk(lambda: self._keep(target))

    async def _flush(self) -> None:
        data, self._pending = bytes(self._pending), bytearray()
        await _on_disk(lambda: self._file.write(data))

    def _keep(self, target: Path) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        Path(self._file.name).replace(target)
        for folder in (target.parent, target.parent.parent, self._store.root):
            _sync_folder(folder)


class UploadStore:
    """root is made at the first upload."""

    def __init__(self, root: Path, options: UploadOptions | None = None) -> None:
        self.root = root
        self.options = options or UploadOptions()
        self._arriving: Counter[str] = Counter()

    def path(self, market_id: str, sha256: bytes) -> Path:
        """Where these bytes lie, if they do."""
        name = sha256.hex()
        return self.root / market_id / name[:2] / name

    async def has(self, market_id: str, sha256: bytes) -> bool:
        return await _on_disk(self.path(market_id, sha256).is_file)

    @asynccontextmanager
    async def incoming(self, owner: str) -> AsyncGenerator[Incoming]:
        """A file to write to; what is not kept is gone when the block ends. StoreBusyError, StoreFailedError."""
        counted = self._arriving
        if counted.total() >= self.options.at_once_max or counted[owner] >= self.options.at_once_per_driver_max:
            raise StoreBusyError
        counted[owner] += 1
        try:
            file = await _on_disk(self._create)
            try:
                yield Incoming(self, file)
            finally:
                # The file knows its lock: a write still under way in its thread ends before it is closed.
                await asyncio.shield(asyncio.to_thread(_discard, file))
        finally:
            counted[owner] -= 1
            if not counted[owner]:
                del counted[owner]

    async def tidy(self) -> None:
        """Remove what killed processes left half arrived. Never raises: the next start tries again."""
        with suppress(StoreFailedError):
            await _on_disk(self._tidy)

    def _create(self) -> BinaryIO:
        folder = self.root / ".incoming"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return cast("BinaryIO", tempfile.NamedTemporaryFile(dir=folder, delete=False))

    def _tidy(self) -> None:
        born_before = time.time() - LEFTOVER_SECONDS
        for path in (self.root / ".incoming").glob("*"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < born_before:
                    path.unlink()


async def _on_disk(work: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(work)
    except OSError as error:
        raise StoreFailedError(os.strerror(error.errno) if error.errno else "the disk refused") from error


def _discard(file: BinaryIO) -> None:
    # Closing may have to write what is buffered, and fail again on a full disk.
    with suppress(OSError):
        file.close()
    with suppress(OSError):
        Path(file.name).unlink()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
