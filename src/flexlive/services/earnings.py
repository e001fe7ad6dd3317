"""What a driver is owed, day by day and route by route: the ledger itself, each row with its reason."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from itertools import groupby
from typing import Final
from uuid import UUID

from flexlive.domain.earnings import explain
from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.protocol import driver_http as wire
from flexlive.services.context import Context
from flexlive.services.drivers import DriverPrincipal
from flexlive.storage import earnings as rows
from flexlive.storage.pool import Record

DAYS_MAX: Final = 31
ROWS_MAX: Final = 20_000
_EPOCH: Final = date(1970, 1, 1)
"""Before it nobody has earned anything; nor does a time zone move the day out of the calendar."""


async def earnings(
    ctx: Context, driver: DriverPrincipal, from_date: date | None, to_date: date | None
) -> wire.Earnings:
    """From the first local day of the market through the last; today where a day is left out.

    FlexliveError(invalid): the last day before the first, more than DAYS_MAX days, or more than ROWS_MAX rows.
    """
    day = await rows.market_day(ctx.pool, driver.market_id, ctx.clock())
    if day is None:
        raise FlexliveError(ErrorCode.MARKET_UNKNOWN)
    today: date = day["today"]
    last = to_date or max(from_date or today, today)
    first = from_date or min(last, today)
    if not 0 <= (last - first).days < DAYS_MAX or not _EPOCH <= first <= last < date.max:
        raise FlexliveError(ErrorCode.INVALID, f"`from` is not after `to`, and both at most {DAYS_MAX} days")
    found = await rows.rows(ctx.pool, driver.market_id, driver.driver_id, first, last, ROWS_MAX + 1)
    if len(found) > ROWS_MAX:
        raise FlexliveError(ErrorCode.INVALID, f"more than {ROWS_MAX} rows: ask for fewer days")
    days = tuple(_day(local_date, list(of_day)) for local_date, of_day in groupby(found, lambda row: row["local_date"]))
    return wire.Earnings(
        from_=first,
        to=last,
        time_zone=day["time_zone"],
        currency=day["currency"],
        total_cents=sum(each.total_cents for each in days),
        days=days,
    )


def _day(local_date: date, found: Iterable[Record]) -> wire.EarningsDay:
    of_route: dict[UUID | None, list[wire.EarningsRow]] = {}
    for row in found:
        of_route.setdefault(row["route_id"], []).append(_row(row))
    routes = tuple(
        wire.EarningsRoute(route_id=route_id, total_cents=sum(row.amount_cents for row in each), rows=tuple(each))
        for route_id, each in of_route.items()
    )
    return wire.EarningsDay(date=local_date, total_cents=sum(route.total_cents for route in routes), routes=routes)


def _row(row: Record) -> wire.EarningsRow:
    return wire.EarningsRow(
        entry_id=row["entry_id"],
        kind=row["kind"],
        amount_cents=row["amount_cents"],
        delivery_id=row["delivery_id"],
        event=row["event_kind"],
        reason_code=row["reason_code"],
        earned_at=row["created_at"],
        text=explain(row["kind"], row["event_kind"], row["store_name"], row["reason_code"]),
    )
