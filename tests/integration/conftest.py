"""A context and a small market on a database of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from flexlive.services.context import Context
from tests.support.world import World, build_world, open_test_context


@pytest.fixture
async def ctx(database_url: str) -> AsyncIterator[Context]:
    async with open_test_context(database_url) as context:
        yield context


@pytest.fixture
async def world(ctx: Context) -> World:
    return await build_world(ctx)
