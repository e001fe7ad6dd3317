"""Work given back before it is picked up, by its driver or for one who is silent. It is offered anew at once."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final
from uuid import UUID

from flexlive.domain.reasons import ReasonCode
from flexlive.domain.routes import on_forfeit
from flexlive.protocol.driver import RouteForfeit
from flexlive.services import route_steps
from flexlive.services.answers import Answer
from flexlive.services.causes import Cause, by_driver
from flexlive.services.context import Context
from flexlive.services.drivers import DriverPrincipal
from flexlive.services.route_steps import NOT_FOUND, LockedRoute
from flexlive.storage.pool import Connection

_REASONS: Final = frozenset(each.value for each in ReasonCode)


async def forfeit(
    ctx: Context, conn: Connection, principal: DriverPrincipal, command: RouteForfeit, now: datetime
) -> Answer:
    """The driver gives back everything of a route that is not in the car yet."""
    if command.reason not in _REASONS:
        return Answer("invalid", {"field": "reason"})
    locked = await route_steps.lock_by_route(conn, principal.market_id, principal.driver_id, command.route_id)
    if locked is None:
        return NOT_FOUND
    return await give_back(ctx, conn, locked, None, by_driver(principal.driver_id, now, now, command.reason))


async def give_back(
    ctx: Context, conn: Connection, locked: LockedRoute, delivery_ids: Collection[UUID] | None, cause: Cause
) -> Answer:
    """These deliveries of the route, or all that is before custody, wait for another driver, never for this one.

    The caller holds the driver. illegal_transition when nothing of it is before custody."""
    return await route_steps.take(
        ctx, conn, locked, lambda stops, statuses: on_forfeit(stops, statuses, delivery_ids), cause
    )
