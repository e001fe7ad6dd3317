"""What a driver is owed, as the driver reads it: whole local days, every row with its reason, nothing of others."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.domain.pay import LedgerKind
from flexlive.protocol import driver_http as wire
from flexlive.protocol.driver import Deliver, Depart, PickupConfirm, Scan
from flexlive.protocol.merchant import DropoffVerification
from flexlive.services.causes import by_system
from flexlive.services.drivers import DriverPrincipal
from flexlive.services.earnings import earnings
from flexlive.storage import ledger
from flexlive.storage.events import append
from flexlive.storage.ledger import NewEntry
from flexlive.storage.transaction import transaction
from tests.integration.test_routes import DOOR, Phone, winning_phone
from tests.support.world import SITE, World

ZONE = ZoneInfo("America/Los_Angeles")


async def adjust(world: World, driver_id: UUID, instants: Sequence[datetime], cents: int = 100) -> None:
    """One adjustment at each instant."""
    async with transaction(world.ctx.pool) as conn:
        for at in instants:
            cause = by_system(at, "ops_decision")
            told = {"driver_id": driver_id, "amount_cents": cents}
            [event] = await append(
                conn, world.market_id, [cause.event("driver", driver_id, "driver.pay_adjusted", told)]
            )
            entry = NewEntry(world.ctx.new_id(), None, LedgerKind.ADJUSTMENT.value, cents, event.event_id)
            await ledger.insert(conn, world.market_id, driver_id, None, "USD", at, [entry])


def rows_of(told: wire.Earnings) -> list[wire.EarningsRow]:
    return list(chain.from_iterable(route.rows for day in told.days for route in day.routes))


def adds_up(told: wire.Earnings) -> bool:
    return all(
        day.total_cents == sum(route.total_cents for route in day.routes)
        and all(route.total_cents == sum(row.amount_cents for row in route.rows) for route in day.routes)
        for day in told.days
    ) and told.total_cents == sum(day.total_cents for day in told.days)


async def deliver(phone: Phone, world: World) -> None:
    """From the accepted offer to the door."""
    now = world.ctx.clock()
    site, store, door = (await phone.route()).stops
    code = world.store.handoff_code
    await phone.send(Depart, stop_id=site.stop_id)
    await phone.check_in(site.stop_id, SITE)
    await phone.send(Scan, stop_id=store.stop_id, barcode=store.deliveries[0].packages[0].barcode, occurred_at=now)
    await phone.send(PickupConfirm, stop_id=store.stop_id, store_code=code)
    await phone.send(Depart, stop_id=door.stop_id)
    await phone.check_in(door.stop_id, DOOR)
    delivery_id = door.deliveries[0].delivery_id
    assert await phone.send(Deliver, delivery_id=delivery_id, occurred_at=now) == "ok"


async def test_a_delivered_route_is_told_row_by_row(world: World) -> None:
    phone = await winning_phone(world, dropoff_verification=DropoffVerification())
    await deliver(phone, world)
    other, *_ = await world.add_drivers(1, online=False)
    told = await earnings(world.ctx, phone.driver, None, None)
    assert told.to == told.from_ == world.ctx.clock().astimezone(ZONE).date()
    assert (told.currency, told.time_zone) == ("USD", "America/Los_Angeles")
    [day] = told.days
    [route] = day.routes
    assert route.route_id is not None
    assert adds_up(told)
    assert told.total_cents == await world.ctx.pool.fetchval("select sum(amount_cents)::bigint from ledger_entry")
    texts = {row.kind: row.text for row in route.rows}
    assert texts["base"] == "Base pay, delivery from Shop: delivered"
    assert texts["tip"] == "Tip from the customer, delivery from Shop"
    assert {row.event for row in route.rows} == {"delivery.delivered"}
    # Nothing of where the customer lives.
    assert "Elm" not in str(told)
    assert (await earnings(world.ctx, other, None, None)).days == ()


async def test_days_are_the_markets_also_when_clocks_change(world: World) -> None:
    [driver] = await world.add_drivers(1, online=False)
    # 9 March 2025 has 23 hours there, 2 November 25; rows each half hour over both, and to the microsecond at midnight.
    instants = [
        datetime(2025, month, day, tzinfo=UTC) + timedelta(minutes=30 * step)
        for month, day in ((3, 8), (11, 1))
        for step in range(4 * 48)
    ]
    midnight = datetime(2025, 3, 10, tzinfo=ZONE).astimezone(UTC)
    instants += [midnight - timedelta(microseconds=1), midnight]
    await adjust(world, driver.driver_id, instants)
    expected: dict[date, int] = {}
    for at in instants:
        expected[at.astimezone(ZONE).date()] = expected.get(at.astimezone(ZONE).date(), 0) + 100
    for first, last in ((date(2025, 3, 7), date(2025, 3, 12)), (date(2025, 10, 31), date(2025, 11, 5))):
        told = await earnings(world.ctx, driver, first, last)
        assert adds_up(told)
        assert {day.date: day.total_cents for day in told.days} == {
            day: cents for day, cents in expected.items() if first <= day <= last
        }
        for day in told.days:
            alone = await earnings(world.ctx, driver, day.date, day.date)
            assert alone.days == (day,)
    short, long = [
        (await earnings(world.ctx, driver, day, day)).total_cents for day in (date(2025, 3, 9), date(2025, 11, 2))
    ]
    assert (short, long) == (23 * 200 + 100, 25 * 200)


async def test_an_adjustment_belongs_to_no_route_and_may_be_less(world: World) -> None:
    [driver] = await world.add_drivers(1, online=False)
    await adjust(world, driver.driver_id, [world.ctx.clock()], -250)
    told = await earnings(world.ctx, driver, None, None)
    [row] = rows_of(told)
    assert told.days[0].routes[0].route_id is None
    assert (told.total_cents, row.text) == (-250, "Adjustment by operations: ops decision")


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (date(2025, 3, 2), date(2025, 3, 1)),
        (date(2025, 1, 1), date(2025, 2, 1)),
        (date(1, 1, 1), date(1, 1, 2)),
        (date(9999, 12, 30), date(9999, 12, 31)),
        (date(1960, 1, 1), None),
    ],
)
async def test_spans_that_make_no_sense_are_refused(world: World, first: date, last: date | None) -> None:
    [driver] = await world.add_drivers(1, online=False)
    with pytest.raises(FlexliveError) as caught:
        await earnings(world.ctx, driver, first, last)
    assert caught.value.code is ErrorCode.INVALID


async def test_a_day_left_out_is_today(world: World) -> None:
    [driver] = await world.add_drivers(1, online=False)
    today = world.ctx.clock().astimezone(ZONE).date()
    for first, last, span in (
        (None, None, (today, today)),
        (today - timedelta(days=3), None, (today - timedelta(days=3), today)),
        (None, today, (today, today)),
        (None, today - timedelta(days=2), (today - timedelta(days=2), today - timedelta(days=2))),
        (today + timedelta(days=2), None, (today + timedelta(days=2), today + timedelta(days=2))),
    ):
        told = await earnings(world.ctx, driver, first, last)
        assert (told.from_, told.to) == span


async def test_nobody_reads_a_driver_of_the_same_id_elsewhere(world: World) -> None:
    [driver] = await world.add_drivers(1, online=False)
    await adjust(world, driver.driver_id, [world.ctx.clock()])
    foreign = DriverPrincipal("nowhere", *[getattr(driver, name) for name in driver.__slots__[1:]])
    with pytest.raises(FlexliveError) as caught:
        await earnings(world.ctx, foreign, None, None)
    assert caught.value.code is ErrorCode.MARKET_UNKNOWN
