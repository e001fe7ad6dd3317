"""Where sleeping phones can be rung, as rows: one a device, and a phone belongs to who registered it last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from flexlive.storage.pool import Connection, Executor, Record
from flexlive.storage.queries import load

_sql = load("push_targets")


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRow:
    """keys: of a Web Push subscription, None for every other kind."""

    kind: str
    address: str
    driver_id: UUID
    device_id: str
    family_id: UUID
    keys: Mapping[str, str] | None
    registered_at: datetime


async def put(conn: Connection, market_id: str, row: TargetRow, devices_max: int) -> None:
    """Register it in place of the device's former one; beyond devices_max a driver's oldest go.

    The caller holds the driver's row."""
    await conn.execute(
        *_sql.put_target.bind(
            market_id=market_id,
            kind=row.kind,
            address=row.address,
            driver_id=row.driver_id,
            device_id=row.device_id,
            family_id=row.family_id,
            keys=row.keys,
            registered_at=row.registered_at,
        )
    )
    await conn.execute(
        *_sql.replace_targets.bind(
            market_id=market_id,
            driver_id=row.driver_id,
            kind=row.kind,
            address=row.address,
            device_id=row.device_id,
            others_max=devices_max - 1,
        )
    )


async def delete(conn: Executor, market_id: str, driver_id: UUID, device_id: str) -> None:
    """Nothing happens when there is none."""
    await conn.execute(*_sql.delete_target.bind(market_id=market_id, driver_id=driver_id, device_id=device_id))


async def delete_family(conn: Connection, market_id: str, family_id: UUID) -> None:
    """A login has ended: its phones are not rung any more."""
    await conn.execute(*_sql.delete_family.bind(market_id=market_id, family_id=family_id))


async def of_driver(conn: Executor, market_id: str, driver_id: UUID) -> list[Record]:
    """kind, device_id, registered_at, dead_at; newest first."""
    return await conn.fetch(*_sql.targets.bind(market_id=market_id, driver_id=driver_id))


async def living(conn: Executor, market_id: str, driver_ids: Sequence[UUID]) -> list[Record]:
    """driver_id, kind, address, device_id, keys, registered_at; each driver's newest first."""
    return await conn.fetch(*_sql.living_targets.bind(market_id=market_id, driver_ids=driver_ids))


async def mark_dead(
    conn: Executor, market_id: str, kind: str, address: str, registered_at: datetime, at: datetime
) -> None:
    """The push service says the phone is gone. registered_at: as it was read, so that a new registration stays."""
    await conn.execute(
        *_sql.mark_dead.bind(market_id=market_id, kind=kind, address=address, registered_at=registered_at, dead_at=at)
    )


async def forget(conn: Connection, market_id: str, dead_before: datetime, rows_max: int) -> int:
    """Delete at most rows_max that died before then; how many went."""
    status = await conn.execute(
        *_sql.forget_targets.bind(market_id=market_id, dead_before=dead_before, rows_max=rows_max)
    )
    return int(status.rpartition(" ")[2])
