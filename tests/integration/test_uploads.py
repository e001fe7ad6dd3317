"""A proof's hash and the bytes of its upload agree, whichever comes first."""

from __future__ import annotations

from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import pytest

from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.protocol.driver import Depart, PickupConfirm, ProofAdd, Scan
from flexlive.services import uploads
from flexlive.storage.upload_store import UploadStore
from tests.integration.test_routes import DOOR, Phone, winning_phone
from tests.support.world import SITE, World

JPEG = b"\xff\xd8\xff\xe0" + b"j" * 60
OTHER = b"\xff\xd8\xff\xe0" + b"k" * 60


async def at_the_door(world: World) -> tuple[Phone, UUID]:
    phone = await winning_phone(world)
    now = world.ctx.clock()
    site, store, door = (await phone.route()).stops
    await phone.send(Depart, stop_id=site.stop_id)
    await phone.check_in(site.stop_id, SITE)
    await phone.send(Scan, stop_id=store.stop_id, barcode=store.deliveries[0].packages[0].barcode, occurred_at=now)
    await phone.send(PickupConfirm, stop_id=store.stop_id, store_code=world.store.handoff_code)
    await phone.send(Depart, stop_id=door.stop_id)
    assert await phone.check_in(door.stop_id, DOOR) == "ok"
    return phone, door.deliveries[0].delivery_id


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def test_the_proof_and_its_bytes_agree_in_either_order(world: World, tmp_path: Path) -> None:
    phone, delivery_id = await at_the_door(world)
    store, ctx = UploadStore(tmp_path), world.ctx

    async def announce(upload_id: str, content: bytes) -> str:
        return await phone.send(
            ProofAdd,
            delivery_id=delivery_id,
            kind="photo",
            sha256=sha256(content).hexdigest(),
            upload_id=upload_id,
            occurred_at=ctx.clock(),
        )

    async def upload(upload_id: str, content: bytes) -> str:
        return (await uploads.receive(ctx, store, phone.driver, upload_id, chunks(content), [])).sha256

    # Bytes first.
    assert await upload("p-1", JPEG) == sha256(JPEG).hexdigest()
    assert await announce("p-1", OTHER) == "conflict"
    assert await announce("p-1", JPEG) == "ok"
    # The proof first.
    assert await announce("p-2", OTHER) == "ok"
    assert await announce("p-2", JPEG) == "conflict"
    with pytest.raises(FlexliveError) as caught:
        await upload("p-2", JPEG)
    assert caught.value.code is ErrorCode.CONFLICT
    assert await upload("p-2", OTHER) == sha256(OTHER).hexdigest()
    proofs = await ctx.pool.fetch("select upload_id, sha256 from proof order by upload_id")
    assert [(row["upload_id"], row["sha256"]) for row in proofs] == [
        ("p-1", sha256(JPEG).digest()),
        ("p-2", sha256(OTHER).digest()),
    ]
