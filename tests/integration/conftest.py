"""A context and a small market on a database of the test's own."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from flexlive.realtime import chain
from flexlive.realtime.buses.memory import MemoryBus
from flexlive.realtime.chain import ChainMessage
from flexlive.services.context import Context
from flexlive.storage.pool import Pool
from tests.integration.event_world import add_drivers, add_market
from tests.support.world import World, build_world, open_test_context


@pytest.fixture
async def ctx(database_url: str) -> AsyncIterator[Context]:
    async with open_test_context(database_url) as context:
        yield context


@pytest.fixture
async def world(ctx: Context) -> World:
    return await build_world(ctx)


@pytest.fixture
async def bus() -> AsyncIterator[MemoryBus]:
    made = MemoryBus()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def market_id(pool: Pool) -> str:
    return await add_market(pool)


@pytest.fixture
async def drivers(pool: Pool, market_id: str) -> list[uuid.UUID]:
    return await add_drivers(pool, market_id, 3)


@pytest.fixture
def messages(bus: MemoryBus, market_id: str) -> list[ChainMessage]:
    heard: list[ChainMessage] = []
    bus.subscribe(chain.facts_topic(market_id), lambda payload: heard.append(chain.decode(payload)))
    return heard


@pytest.fixture
def data_dir() -> Iterator[Path]:
    # Not tmp_path: pytest closes its folders to other users, and PostgreSQL of root is another user.
    parent = Path(tempfile.mkdtemp(prefix="flexlive-test-"))
    parent.chmod(0o755)
    yield parent / "home"
    shutil.rmtree(parent)
