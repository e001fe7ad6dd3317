"""A ping's life: believed or not, kept in RAM, told to the one customer it concerns, and written when it crosses a
fence. No SQL otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
import structlog
from prometheus_client import Counter

from flexlive.domain import cells
from flexlive.domain.eta import eta_seconds, imminent, worth_telling
from flexlive.domain.geography import Point, distance_m
from flexlive.domain.locations import Accepted, Fix, judge_ping
from flexlive.domain.markets import MarketPolicy
from flexlive.protocol import driver as wire
from flexlive.realtime.legs import Leg
from flexlive.realtime.presence import Position
from flexlive.services import check_in
from flexlive.services.context import Context
from flexlive.services.courier_news import CourierNews, arrival, customer_cell, positions_topic, say_imminent
from flexlive.services.drivers import DriverPrincipal
from flexlive.storage import drivers
from flexlive.storage.drivers import PositionRow
from flexlive.storage.transaction import transaction

FIRST_MOVEMENT_M: Final = 150.0
_DEFAULT_POLICY: Final = MarketPolicy()
_log = structlog.get_logger()
_pings = Counter("flexlive_location_points_total", "Reported positions by verdict", ["verdict"])


@dataclass(frozen=True, slots=True)
class NextStopEta:
    """When a driver will be at their own next stop. step_seconds: a smaller change is not worth telling."""

    stop_id: UUID
    eta_at: datetime
    step_seconds: float


def record(ctx: Context, principal: DriverPrincipal, points: Sequence[wire.Point], now: datetime) -> NextStopEta | None:
    """Take a phone's positions, oldest first. Synchronous and quick; crossings are written by tasks of their own.
    Returns what the newest position means to the driver's way; None when none was believed, or there is no way."""
    market_id, driver_id = principal.market_id, principal.driver_id
    rules = ctx.rules.peek(market_id)
    policy = rules.policy if rules is not None else _DEFAULT_POLICY
    newest: Position | None = None
    for point in sorted(points, key=lambda point: point.at):
        present = ctx.presence.get(market_id, driver_id)
        before = present.position if present is not None else None
        previous = None if before is None else Fix(Point(before.lat, before.lon), before.at, before.accuracy_m)
        fix = Fix(Point(point.lat, point.lon), point.at, point.accuracy_m, point.mock)
        verdict = judge_ping(previous, fix, now, policy)
        _pings.labels(type(verdict).__name__.lower()).inc()
        if isinstance(verdict, Accepted):
            newest = Position(point.lat, point.lon, point.accuracy_m, point.at, now)
            ctx.presence.record(market_id, driver_id, newest)
    leg = ctx.legs.get(market_id, driver_id)
    if newest is None or leg is None:
        return None
    _follow(ctx, principal, leg, newest, policy)
    if leg.arrived:
        return None
    seconds = eta_seconds(Point(newest.lat, newest.lon), leg.point, policy)
    return NextStopEta(leg.stop_id, now + timedelta(seconds=seconds), policy.eta_step_seconds)


async def write_dirty(ctx: Context, rows_max: int) -> int:
    """Store unsaved positions of one market; how many. What a failed write took is unsaved again."""
    dirty = ctx.presence.drain_dirty(rows_max)
    if not dirty:
        return 0
    rows = [
        PositionRow(
            row.driver_id,
            row.position.lat,
            row.position.lon,
            row.position.accuracy_m,
            row.position.at,
            row.position.received_at,
        )
        for row in dirty
    ]
    try:
        # The next second replaces these rows; waiting for the disk would buy nothing.
        async with transaction(ctx.pool, durable=False) as conn:
            await drivers.write_positions(conn, dirty[0].market_id, rows)
    except BaseException:
        ctx.presence.give_back(dirty)
        raise
    return len(rows)


def _follow(ctx: Context, principal: DriverPrincipal, leg: Leg, position: Position, policy: MarketPolicy) -> None:
    here = Point(position.lat, position.lon)
    if leg.origin is None:
        leg.origin = here
    if leg.kind == "door":
        if not leg.arrived and not leg.asked and distance_m(leg.point, here) <= policy.door_crossing_radius_m:
            leg.asked = True
            ctx.spawn(_cross(ctx, principal, leg, position))
        _tell_customer(ctx, principal, leg, position, policy)
    elif leg.kind == "site" and not leg.asked and distance_m(leg.origin, here) >= FIRST_MOVEMENT_M:
        leg.asked = True
        ctx.spawn(_set_off(ctx, principal, leg))


async def _cross(ctx: Context, principal: DriverPrincipal, leg: Leg, position: Position) -> None:
    try:
        await check_in.cross(ctx, principal, leg.stop_id, position)
    except Exception as error:
        # The phone's own check_in, or the next position, says it again.
        leg.asked = False
        _log.warning("crossing_not_written", market_id=principal.market_id, error=repr(error))


async def _set_off(ctx: Context, principal: DriverPrincipal, leg: Leg) -> None:
    try:
        await check_in.set_off(ctx, principal, leg.stop_id)
    except Exception as error:
        _log.warning("first_movement_not_written", market_id=principal.market_id, error=repr(error))


def _tell_customer(
    ctx: Context, principal: DriverPrincipal, leg: Leg, position: Position, policy: MarketPolicy
) -> None:
    """The customer whose door is next, and nobody else, sees the cell and the arrival time."""
    if leg.delivery_id is None:
        return
    here, now = Point(position.lat, position.lon), position.received_at
    seconds = eta_seconds(here, leg.point, policy)
    arrives_at = now + timedelta(seconds=seconds)
    told = worth_telling(leg.eta_told, arrives_at, step_seconds=policy.eta_step_seconds)
    if told:
        leg.eta_told = arrives_at
    news = CourierNews(
        delivery_id=str(leg.delivery_id),
        cell=cells.to_wire(customer_cell(here, leg.point, policy)),
        eta=arrival(arrives_at, now, policy) if told else None,
    )
    ctx.bus.publish(positions_topic(principal.market_id), msgspec.json.encode(news))
    if not leg.arrived and not leg.imminent_told and imminent(seconds, policy):
        leg.imminent_told = True
        ctx.spawn(say_imminent(ctx, principal.market_id, principal.driver_id, leg, now))
