"""Bytes from a driver over real HTTP: bounded, sniffed, hashed, kept whole or not at all, shown to operators only."""

from __future__ import annotations

import asyncio
import base64
import resource
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from flexlive.services import offers, tokens
from flexlive.storage import custody
from flexlive.storage.upload_store import UPLOAD_BYTES_MAX, UploadOptions, UploadStore
from tests.conftest import with_database
from tests.support.dispatch import open_offer_ids
from tests.support.http_server import Server, serve
from tests.support.world import World, accept_item, build_world

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
SAMPLES = {
    "image/jpeg": b"\xff\xd8\xff\xe0" + b"j" * 60,
    "image/png": PNG,
    "image/webp": b"RIFF\x10\x00\x00\x00WEBPVP8 " + b"w" * 60,
    "image/heic": b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00" + b"h" * 60,
    "application/pdf": b"%PDF-1.7\n" + b"p" * 60,
}

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Shelf:
    """A server, a driver of it, and the folder its uploads lie in."""

    server: Server
    world: World
    root: Path

    @property
    def driver_id(self) -> Any:
        return self.world.drivers[0].driver_id

    async def put(self, upload_id: str, content: Any, *, token: str | None = None, **kwargs: Any) -> Any:
        headers = {**self.server.bearer(token or self.world.driver_tokens[0]), **kwargs.pop("headers", {})}
        return await self.server.http.put(f"/v1/driver/uploads/{upload_id}", content=content, headers=headers, **kwargs)

    def files(self) -> list[Path]:
        """Everything that lies there, half arrived or not."""
        return sorted(path for path in self.root.rglob("*") if path.is_file())

    async def recorded(self) -> int:
        """Uploads of this market in the database."""
        return await self.server.ctx.pool.fetchval(
            "select count(*) from upload where market_id = $1", self.world.market_id
        )

    async def announce(self, upload_id: str, digest: bytes) -> None:
        """What a proof.add writes, for a delivery this driver has won."""
        ctx, driver = self.server.ctx, self.world.drivers[0]
        await self.world.go_online([driver.driver_id])
        created = await self.world.order()
        async with asyncio.timeout(5):
            while not (offers_open := await open_offer_ids(ctx, self.world.market_id)):
                await asyncio.sleep(0.02)
        assert b'"won"' in await offers.accept(ctx, accept_item(driver, offers_open[0]))
        async with ctx.pool.acquire() as conn:
            now = ctx.clock()
            await custody.insert_proof(
                conn,
                self.world.market_id,
                proof_id=ctx.new_id(),
                delivery_id=created.delivery_id,
                kind="photo",
                sha256=digest,
                upload_id=upload_id,
                occurred_at=now,
                received_at=now,
            )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def started(postgres_dsn: str, database_stock: Any) -> AsyncIterator[Server]:
    """One server for all of them; each test has a market and a folder of its own."""
    name = await database_stock.take()
    async with serve(with_database(postgres_dsn, name)) as running:
        yield running
    await database_stock.give_back(name)


@pytest_asyncio.fixture(loop_scope="module")
async def shelf(started: Server, tmp_path: Path) -> Shelf:
    root = tmp_path / "uploads"
    started.app.state.upload_store = UploadStore(root)
    world = await build_world(started.ctx, market_id=f"town-{uuid4().hex[:8]}")
    await world.add_drivers(2, online=False)
    return Shelf(started, world, root)


@contextmanager
def disk_full_after(size_bytes: int) -> Iterator[None]:
    """The kernel refuses every file that grows beyond this."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    former = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, former)


async def test_every_type_is_kept_under_its_hash_and_served_to_operators_only(shelf: Shelf) -> None:
    ops = (await tokens.issue_ops_token(shelf.server.ctx, timedelta(hours=1), shelf.world.market_id)).token
    base = f"/v1/ops/markets/{shelf.world.market_id}/drivers/{shelf.driver_id}/uploads"
    for number, (media_type, content) in enumerate(SAMPLES.items()):
        digest = sha256(content)
        answer = await shelf.put(f"doc-{number}", content, headers={"content-type": "text/html"})
        assert answer.status_code == 200
        told = answer.json()
        assert (told["media_type"], told["sha256"], told["size_bytes"]) == (
            media_type,
            digest.hexdigest(),
            len(content),
        )
        path = shelf.root / shelf.world.market_id / digest.hexdigest()[:2] / digest.hexdigest()
        assert path.read_bytes() == content
        assert path.stat().st_mode & 0o077 == 0
        served = await shelf.server.http.get(f"{base}/doc-{number}", headers=shelf.server.bearer(ops))
        assert (served.status_code, served.content) == (200, content)
        assert served.headers["content-type"] == "application/octet-stream"
        assert served.headers["x-content-type-options"] == "nosniff"
        assert served.headers["content-disposition"].startswith("attachment; filename=")
        assert served.headers["cache-control"] == "no-store"
    assert len(shelf.files()) == len(SAMPLES)
    for token in (shelf.world.driver_tokens[0], shelf.world.api_key):
        assert (await shelf.server.http.get(f"{base}/doc-0", headers=shelf.server.bearer(token))).status_code == 401
    assert (await shelf.server.http.get(f"{base}/doc-9", headers=shelf.server.bearer(ops))).status_code == 404
    other = base.replace(str(shelf.driver_id), str(shelf.world.drivers[1].driver_id))
    assert (await shelf.server.http.get(f"{other}/doc-0", headers=shelf.server.bearer(ops))).status_code == 404
    for path in shelf.files():
        path.unlink()
    gone = await shelf.server.http.get(f"{base}/doc-0", headers=shelf.server.bearer(ops))
    assert (gone.status_code, gone.json()["code"]) == (503, "unavailable")


async def test_the_same_bytes_again_are_the_same_upload_and_others_a_conflict(shelf: Shelf) -> None:
    answers = await asyncio.gather(*(shelf.put("p-1", PNG) for _ in range(4)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    other = await shelf.put("p-1", PNG + b"!")
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    # Another driver's p-1 is another upload; equal bytes lie there once.
    assert (await shelf.put("p-1", PNG, token=shelf.world.driver_tokens[1])).status_code == 200
    assert [path.name for path in shelf.files()] == [sha256(PNG).hexdigest()]


async def test_bytes_must_be_those_that_were_announced(shelf: Shelf) -> None:
    right, wrong = sha256(PNG), sha256(b"else")
    await shelf.announce("proof-1", right.digest())
    conflict = await shelf.put("proof-1", PNG + b"!")
    assert (conflict.status_code, conflict.json()["code"]) == (409, "conflict")
    assert (await shelf.put("proof-1", PNG)).status_code == 200
    encoded = base64.b64encode(wrong.digest()).decode()
    for extra in (
        {"params": {"sha256": wrong.hexdigest()}},
        {"params": {"sha256": "XYZ"}},
        {"headers": {"content-digest": f"sha-256=:{encoded}:"}},
        {"headers": {"digest": f"SHA-256={encoded}"}},
    ):
        refused = await shelf.put("p-2", PNG, **extra)
        assert (refused.status_code, refused.json()["code"]) == (400, "invalid"), extra
    good = base64.b64encode(right.digest()).decode()
    answer = await shelf.put("p-2", PNG, params={"sha256": right.hexdigest()},
                             headers={"content-digest": f"md5=:AA==:, sha-256=:{good}:"})  # fmt: skip
    assert answer.status_code == 200
    assert len(shelf.files()) == 1


async def test_what_is_no_picture_or_too_big_leaves_nothing_behind(shelf: Shelf) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield SAMPLES["image/jpeg"]
        for _ in range(UPLOAD_BYTES_MAX // 65_536 + 1):
            yield b"\x00" * 65_536

    for content, status, code in (
        (b"", 400, "invalid"),
        (b"\xff\xd8\xff", 415, "unsupported"),
        (b"<html><script>alert(1)</script></html>", 415, "unsupported"),
        (b"GIF89a" + b"g" * 60, 415, "unsupported"),
        (b" %PDF-1.7" + b"p" * 60, 415, "unsupported"),
        (b"MZ" + b"x" * 100_000, 415, "unsupported"),
        (SAMPLES["image/jpeg"] + bytes(UPLOAD_BYTES_MAX), 413, "too_large"),
        (endless(), 413, "too_large"),
    ):
        refused = await shelf.put("p-1", content)
        assert (refused.status_code, refused.json()["code"]) == (status, code)
    for upload_id in ("x" * 65, "a%20b", "..%2f..%2fetc", "%00", "%F0%9F%9A%97"):
        assert (await shelf.put(upload_id, PNG)).status_code in (400, 404)
    assert shelf.files() == []
    assert (
        await shelf.server.ctx.pool.fetchval("select count(*) from upload where market_id = $1", shelf.world.market_id)
        == 0
    )
    biggest = SAMPLES["image/jpeg"].ljust(UPLOAD_BYTES_MAX, b"\x00")
    assert (await shelf.put("p-1", biggest)).json()["size_bytes"] == UPLOAD_BYTES_MAX


async def test_a_full_disk_is_said_clearly_and_nothing_is_half_there(shelf: Shelf) -> None:
    content = SAMPLES["image/jpeg"] + bytes(1024 * 1024)
    with capture_logs() as logs, disk_full_after(64 * 1024):
        refused = await shelf.put("p-1", content)
    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
    assert not [line for line in logs if line["log_level"] in ("error", "critical")]
    assert shelf.files() == []
    assert (
        await shelf.server.ctx.pool.fetchval("select count(*) from upload where market_id = $1", shelf.world.market_id)
        == 0
    )
    assert (await shelf.put("p-1", content)).status_code == 200


async def test_a_phone_that_hangs_up_leaves_nothing_behind(shelf: Shelf) -> None:
    target = urlsplit(shelf.server.url)
    with capture_logs() as logs:
        _, writer = await asyncio.open_connection(target.hostname, target.port)
        writer.write(
            b"PUT /v1/driver/uploads/p-1 HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n"
            b"Authorization: Bearer " + shelf.world.driver_tokens[0].encode() + b"\r\n\r\n" + PNG
        )
        await writer.drain()
        async with asyncio.timeout(5):
            while not shelf.files():
                await asyncio.sleep(0.01)
        writer.close()
        async with asyncio.timeout(5):
            while shelf.files():
                await asyncio.sleep(0.01)
    assert not [line for line in logs if line["log_level"] in ("error", "critical")]


async def test_uploads_are_limited_by_the_day_at_once_and_in_time(shelf: Shelf) -> None:
    def limited(**options: Any) -> None:
        shelf.server.app.state.upload_store = UploadStore(shelf.root, UploadOptions(**options))

    async def slow() -> AsyncIterator[bytes]:
        yield PNG
        await asyncio.sleep(0.5)
        yield PNG

    limited(uploads_per_driver_and_day_max=1)
    assert (await shelf.put("p-1", PNG)).status_code == 200
    assert (await shelf.put("p-2", PNG)).json()["code"] == "rate_limited"
    limited(at_once_per_driver_max=1)
    answers = await asyncio.gather(shelf.put("p-2", slow()), shelf.put("p-3", slow()))
    assert sorted(answer.status_code for answer in answers) == [200, 429]
    limited(body_seconds_max=0.2)
    assert (await shelf.put("p-4", slow())).json()["code"] == "invalid"
    limited()
    assert (await shelf.put("p-4", slow())).status_code == 200
