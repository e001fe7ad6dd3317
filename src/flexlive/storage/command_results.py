"""Answers already given to a phone's commands, so that a retry has one effect and one answer, byte for byte."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from flexlive.storage.pool import Connection
from flexlive.storage.queries import load

_sql = load("command_results")


@dataclass(frozen=True, slots=True)
class CommandKey:
    driver_id: UUID
    device_id: str
    cmd: str


@dataclass(frozen=True, slots=True)
class StoredResult:
    request_sha256: bytes
    body: bytes


async def known(conn: Connection, market_id: str, keys: Sequence[CommandKey]) -> dict[CommandKey, StoredResult]:
    """The stored answers of those keys that have one."""
    rows = await conn.fetch(
        *_sql.known.bind(
            market_id=market_id,
            driver_ids=[key.driver_id for key in keys],
            device_ids=[key.device_id for key in keys],
            cmds=[key.cmd for key in keys],
        )
    )
    return {
        CommandKey(row["driver_id"], row["device_id"], row["cmd"]): StoredResult(row["request_sha256"], row["body"])
        for row in rows
    }


async def insert(
    conn: Connection, market_id: str, results: Sequence[tuple[CommandKey, StoredResult]], created_at: datetime
) -> None:
    """Store answers; the caller holds the drivers' locks, so none can exist already."""
    await conn.execute(
        *_sql.insert_results.bind(
            market_id=market_id,
            created_at=created_at,
            driver_ids=[key.driver_id for key, _ in results],
            device_ids=[key.device_id for key, _ in results],
            cmds=[key.cmd for key, _ in results],
            request_sha256s=[result.request_sha256 for _, result in results],
            bodies=[result.body for _, result in results],
        )
    )


async def forget(conn: Connection, market_id: str, created_before: datetime, rows_max: int) -> int:
    """Delete at most rows_max old answers; returns how many went."""
    status = await conn.execute(
        *_sql.forget_results.bind(market_id=market_id, created_before=created_before, rows_max=rows_max)
    )
    return int(status.rpartition(" ")[2])
