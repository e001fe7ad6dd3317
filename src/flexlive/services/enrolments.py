"""Signing drivers up in bulk: person, vehicle, active enrolment and a token, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from flexlive.domain.drivers import VEHICLE_DEFAULTS, VehicleKind
from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.protocol import ops
from flexlive.services import markets
from flexlive.services.context import Context
from flexlive.services.tokens import issue_driver_tokens
from flexlive.storage import enrolments as rows
from flexlive.storage.failures import violated_constraint
from flexlive.storage.pool import Connection, Record
from flexlive.storage.transaction import transaction

PAGE_ROWS_MAX: Final = 500
PROVISIONING: Final = "provisioning"
"""Who approved the papers of drivers signed up as ready to work."""
ANALYZE_DRIVERS_MIN: Final = 50
"""From this many on, the planner is told."""

_VOLUME_LITRES: Final = {
    VehicleKind.CAR: 400,
    VehicleKind.SUV: 700,
    VehicleKind.VAN: 2500,
    VehicleKind.BIKE: 60,
    VehicleKind.SCOOTER: 90,
}
_NIL: Final = UUID(int=0)


async def provision(ctx: Context, market_id: str, request: ops.ProvisionDrivers) -> list[ops.DriverProvisioned]:
    """Drivers who may work at once, in the order asked. FlexliveError(not_found) names a missing offer type,
    (conflict) when a phone is taken."""
    offered = {each.offer_type for each in await markets.offer_types(ctx, market_id)}
    asked = {offer_type for driver in request.drivers for offer_type in driver.offer_types}
    if not asked <= offered:
        raise FlexliveError(ErrorCode.NOT_FOUND, f"no such offer type: {', '.join(sorted(asked - offered))}")
    drivers = [_driver(ctx, driver) for driver in request.drivers]
    now = ctx.clock()
    async with transaction(ctx.pool) as conn:
        await _insert(conn, market_id, drivers, now)
        pairs = [(driver.driver_id, offer_type) for driver in drivers for offer_type in driver.offer_types]
        await rows.insert_active(conn, market_id, pairs, now)
        await rows.insert_documents(conn, market_id, pairs, PROVISIONING, now)
        issued = await issue_driver_tokens(
            conn,
            ctx,
            market_id,
            [driver.driver_id for driver in drivers],
            timedelta(seconds=request.token_ttl_seconds),
        )
    if len(drivers) >= ANALYZE_DRIVERS_MIN:
        await rows.analyze(ctx.pool)
    return [
        ops.DriverProvisioned(driver_id=driver.driver_id, access_token=token.token, expires_at=token.expires_at)
        for driver, token in zip(drivers, issued, strict=True)
    ]


async def _insert(conn: Connection, market_id: str, drivers: Sequence[rows.NewDriver], now: datetime) -> None:
    try:
        await rows.insert_drivers(conn, market_id, drivers, now)
    except Exception as error:
        if violated_constraint(error) == "driver_phone_key":
            raise FlexliveError(ErrorCode.CONFLICT, "a driver of this market has one of these phones") from None
        raise


async def drivers(ctx: Context, market_id: str, after: UUID | None) -> ops.DriverPage:
    """Up to PAGE_ROWS_MAX drivers, oldest first, after an id."""
    await markets.require(ctx, market_id)
    found = await rows.drivers(ctx.pool, market_id, after=after or _NIL, rows_max=PAGE_ROWS_MAX)
    page = tuple(_shown(row) for row in found)
    return ops.DriverPage(drivers=page, next_after=page[-1].driver_id if len(page) == PAGE_ROWS_MAX else None)


def _driver(ctx: Context, asked: ops.NewDriver) -> rows.NewDriver:
    kind = VehicleKind(asked.vehicle.kind)
    usual, given = VEHICLE_DEFAULTS[kind], asked.vehicle
    return rows.NewDriver(
        driver_id=ctx.new_id(),
        first_name=asked.first_name,
        phone=asked.phone,
        routes_active_max=asked.routes_active_max,
        vehicle_id=ctx.new_id(),
        vehicle_kind=kind.value,
        packages_max=given.packages_max or usual.packages_max,
        volume_litres=given.volume_litres or _VOLUME_LITRES[kind],
        weight_grams_max=given.weight_grams_max or usual.weight_grams_max,
        carries_upright=usual.carries_upright if given.carries_upright is None else given.carries_upright,
        offer_types=tuple(dict.fromkeys(asked.offer_types)),
    )


def _shown(row: Record) -> ops.Driver:
    columns = dict(row.items())
    names = ("packages_max", "volume_litres", "weight_grams_max", "carries_upright")
    vehicle = {"kind": columns.pop("vehicle_kind"), **{name: columns.pop(name) for name in names}}
    return msgspec.convert({**columns, "vehicle": vehicle if vehicle["kind"] else None}, ops.Driver)
