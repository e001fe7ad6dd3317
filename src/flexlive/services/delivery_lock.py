"""One delivery with everything that hangs on it, locked in the one order, for whoever acts on it from outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.services import route_steps
from flexlive.services.route_steps import LockedRoute
from flexlive.storage import deliveries, drivers, offers, routes
from flexlive.storage.pool import Connection, Record

_ATTEMPTS_MAX: Final = 3


@dataclass(frozen=True, slots=True)
class LockedDelivery:
    """row: the delivery as storage.deliveries.get reads it, read after the lock. offer: the live one it is part of.
    route: the active one it is on. transfer: the second driver's, waiting to take it over."""

    market_id: str
    row: Record
    offer: Record | None
    route: LockedRoute | None
    transfer: LockedRoute | None

    @property
    def delivery_id(self) -> UUID:
        return self.row["delivery_id"]


class DeliveryMovedError(FlexliveError):
    """The delivery went from hand to hand while it was to be locked; nothing was done, asking again helps."""

    def __init__(self) -> None:
        super().__init__(ErrorCode.UNAVAILABLE, "the delivery is changing hands; ask again")


class _MovedError(Exception):
    pass


async def lock_delivery(
    conn: Connection, market_id: str, delivery_id: UUID, *, also_drivers: Sequence[UUID] = ()
) -> LockedDelivery | None:
    """Lock its driver and the second one, also_drivers, its live offer, it and what shares its route, the routes.

    None when there is no such delivery. DeliveryMovedError when it would not stand still."""
    for _ in range(_ATTEMPTS_MAX):
        try:
            # A savepoint: what was locked for the wrong driver is let go of again.
            async with conn.transaction():
                return await _lock(conn, market_id, delivery_id, also_drivers)
        except _MovedError:
            continue
    raise DeliveryMovedError


async def _lock(
    conn: Connection, market_id: str, delivery_id: UUID, also_drivers: Sequence[UUID]
) -> LockedDelivery | None:
    before = await deliveries.holders(conn, market_id, delivery_id)
    if before is None:
        return None
    concerned = {before["driver_id"], before["second_driver_id"], *also_drivers} - {None}
    if concerned:
        await drivers.lock(conn, market_id, sorted(concerned))
    offer = await offers.lock(conn, market_id, before["offer_id"]) if before["offer_id"] is not None else None
    if before["route_id"] is not None and before["route_active"]:
        await routes.lock(conn, market_id, before["route_id"])
    await deliveries.lock(conn, market_id, delivery_id)
    after = await deliveries.holders(conn, market_id, delivery_id)
    if after is None or dict(after.items()) != dict(before.items()):
        raise _MovedError
    row = await deliveries.get(conn, market_id, delivery_id)
    if row is None:
        raise _MovedError
    first, second = before["route_id"] if before["route_active"] else None, before["transfer_route_id"]
    return LockedDelivery(
        market_id=market_id,
        row=row,
        offer=offer,
        route=None if first is None else await route_steps.load(conn, market_id, first),
        transfer=None if second is None else await route_steps.load(conn, market_id, second),
    )
