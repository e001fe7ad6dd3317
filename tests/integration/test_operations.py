"""Commands beside a running server: they use its embedded database; a second server does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from flexlive import operations
from flexlive.domain.ids import TokenKind, parse_token
from flexlive.serving import database
from flexlive.settings import Settings
from flexlive.storage.errors import DataDirectoryInUseError


async def test_a_token_and_a_seed_beside_a_running_database(data_dir: Path) -> None:
    settings = Settings(data_dir=data_dir)
    async with database(settings):
        report = await operations.seed_pilot_malls(settings, always_open=False)
        assert all(merchant.api_key for merchant in report.merchants)
        again = await operations.seed_pilot_malls(settings, always_open=False)
        assert not any(merchant.api_key for merchant in again.merchants)
        parts = parse_token(await operations.ops_token(settings, 1))
        assert parts is not None
        assert parts.kind is TokenKind.OPS
        with pytest.raises(DataDirectoryInUseError):
            async with database(settings):
                pass
