"""Every shipped statement fits the migrated schema."""

from __future__ import annotations

import asyncpg
import pytest

from flexlive.storage import queries

NOUNS = sorted(path.stem for path in (queries.sql_dir() / "queries").glob("*.sql"))


@pytest.mark.parametrize("noun", NOUNS)
async def test_every_statement_can_be_prepared(database_url: str, noun: str) -> None:
    connection = await asyncpg.connect(database_url)
    wrong: list[str] = []
    try:
        for query in queries.load(noun):
            try:
                prepared = await connection.prepare(query.sql)
            except asyncpg.PostgresError as error:
                wrong.append(f"{query.name}: {error}")
            else:
                if len(prepared.get_parameters()) != len(query.parameters):
                    wrong.append(f"{query.name}: takes {len(prepared.get_parameters())} parameters")
    finally:
        await connection.close()
    assert not wrong
