"""Packages that change cars: the second driver scans them all, and in that moment they are theirs."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from flexlive.domain.door_order import order_doors, path_m
from flexlive.domain.geography import Point
from flexlive.domain.pay import PayRule, quote, split_pay
from flexlive.domain.returns import not_rescanned
from flexlive.domain.routes import StepRefused, on_statuses_changed
from flexlive.domain.transfers import on_transfer_in, on_transfer_out
from flexlive.services import earned, route_steps, tracking
from flexlive.services.answers import OK, Answer
from flexlive.services.causes import Cause, by_driver
from flexlive.services.context import Context
from flexlive.services.delivery_lock import LockedDelivery
from flexlive.services.pickups import package_states
from flexlive.services.route_steps import LockedRoute
from flexlive.storage import custody, policies, route_writes
from flexlive.storage.pool import Connection, Record


async def scan(
    ctx: Context, conn: Connection, locked: LockedRoute, stop: Record, barcode: str, at: datetime, now: datetime
) -> Answer:
    """One package of the first driver's, read by the second's phone; the last one of the stop passes custody.

    locked: the second driver's route, its deliveries and the first driver's route held with it."""
    incoming = [each for each in stop["delivery_ids"] if each in locked.incoming]
    if not incoming or stop["status"] in ("done", "skipped"):
        return Answer("illegal_transition")
    found = await custody.rescan(conn, locked.market_id, incoming, barcode, locked.driver_id, at)
    if found is None:
        return Answer("wrong_package")
    reread = await route_steps.load(conn, locked.market_id, locked.route_id)
    assert reread is not None
    if not_rescanned([package for each in incoming for package in package_states(reread, each)]):
        return OK
    return await _take_over(ctx, conn, reread, stop, incoming, by_driver(locked.driver_id, at, now))


async def call_off(ctx: Context, conn: Connection, locked: LockedDelivery, cause: Cause) -> Answer:
    """The second driver is not to take this delivery over after all. The caller holds it and both routes."""
    if locked.transfer is None:
        return Answer("illegal_transition", {"status": locked.row["status"]})
    await route_writes.call_off_transfer(conn, locked.market_id, [locked.delivery_id])
    second = await route_steps.load(conn, locked.market_id, locked.transfer.route_id)
    assert second is not None
    await route_steps.write(ctx, conn, second, on_statuses_changed(second.stops, second.statuses), cause)
    return OK


async def _take_over(
    ctx: Context, conn: Connection, second: LockedRoute, stop: Record, incoming: list[UUID], cause: Cause
) -> Answer:
    market_id = second.market_id
    rows = {each: second.sheet.deliveries[each] for each in incoming}
    first_route_ids = sorted({row["route_id"] for row in rows.values()})
    here = Point(stop["lat"], stop["lon"])
    doors = [Point(row["dropoff_lat"], row["dropoff_lon"]) for row in rows.values()]
    order = order_doors(here, doors)
    step = on_transfer_in(
        second.stops,
        stop["stop_id"],
        second.statuses,
        {each: second.incoming[each] for each in incoming},
        doors=[incoming[index] for index in order],
        stores={each: row["store_id"] for each, row in rows.items()},
    )
    if isinstance(step, StepRefused):
        return route_steps.refusal(step)
    # Before custody passes: what the first driver's rows say, and who the customers' links have shown.
    firsts = [await route_steps.load(conn, market_id, route_id) for route_id in first_route_ids]
    for delivery_id in incoming:
        await tracking.revoke(conn, market_id, delivery_id, cause)
    earned_by = await route_steps.write(ctx, conn, second, step, cause)
    distance_m = path_m(here, [doors[index] for index in order])
    await _set_pay(ctx, conn, second, rows, distance_m)
    await custody.unrescan(conn, market_id, incoming)
    for first in firsts:
        if first is None:
            continue
        leaving = [each for each in incoming if each in first.statuses]
        out = on_transfer_out(first.stops, leaving, first.statuses)
        assert not isinstance(out, StepRefused), out
        await earned.write_partial(ctx, conn, first, [rows[each] for each in leaving], earned_by, cause.received_at)
        await route_steps.write(ctx, conn, first, out, cause)
    return OK


async def _set_pay(
    ctx: Context, conn: Connection, second: LockedRoute, rows: dict[UUID, Record], distance_m: float
) -> None:
    """The second driver's pay, by the same rule as an offer of this work from here."""
    rules = await ctx.rules.get(conn, second.market_id, ctx.monotonic())
    pay_rules = await policies.pay_rules(conn, second.market_id)
    pay = quote(
        pay_rules.get(next(iter(rows.values()))["offer_type"], PayRule()),
        distance_m=distance_m * rules.policy.detour_factor,
        deliveries=len(rows),
        packages=sum(len(second.sheet.packages[each]) for each in rows),
        tip_cents=0,
    )
    shares = split_pay(pay.base_cents, pay.distance_cents, len(rows))
    await route_writes.set_pay(
        conn,
        second.market_id,
        {each: (share.base_cents, share.distance_cents) for each, share in zip(sorted(rows), shares, strict=True)},
    )
