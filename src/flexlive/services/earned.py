"""Money, written in the transaction that earns it: each row names the event of its delivery's stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeAlias
from uuid import UUID

from flexlive.domain.deliveries import TERMINAL, DeliveryStatus
from flexlive.domain.pay import DeliveryPay, LedgerKind, LedgerRow, ended_rows, partial_cents, wait_cents
from flexlive.domain.route_drafts import Step
from flexlive.domain.stops import STOP_ENDED, StopKind
from flexlive.services.context import Context
from flexlive.storage import ledger
from flexlive.storage.events import Appended, NewEvent
from flexlive.storage.ledger import NewEntry
from flexlive.storage.pool import Connection, Record

if TYPE_CHECKING:
    from flexlive.services.route_steps import LockedRoute

_D = DeliveryStatus
_ENDS_THE_WAIT: Final = frozenset({_D.PICKED_UP, _D.CANCELLED})

EventIds: TypeAlias = Mapping[tuple[UUID, str], int]
"""(delivery, event kind) → event_id, of one step."""


def event_ids(events: Sequence[NewEvent], appended: Sequence[Appended]) -> EventIds:
    return {
        (event.entity_id, event.kind): place.event_id
        for event, place in zip(events, appended, strict=True)
        if event.stream_kind == "delivery"
    }


async def write(
    ctx: Context, conn: Connection, locked: LockedRoute, step: Step, earned_by: EventIds, at: datetime
) -> None:
    """What this step of the route has earned its driver. locked: as it was before the step."""
    waits = _waits(locked, step)
    if not waits and not any(move.to_status in TERMINAL for move in step.transitions):
        return
    rules = await ctx.rules.get(conn, locked.market_id, ctx.monotonic())
    policy = rules.policy
    found: list[tuple[UUID, DeliveryStatus, LedgerRow]] = []
    for move in step.transitions:
        row = locked.sheet.deliveries[move.delivery_id]
        found += [
            (move.delivery_id, move.to_status, earned)
            for earned in ended_rows(
                move.to_status,
                pay_of(row),
                tip_cents=row["tip_cents"],
                return_cents=row["pay_return_cents"] or 0,
                checked_in=move.from_status is _D.ARRIVED_AT_PICKUP,
                partial_share=policy.partial_pay_share,
            )
        ]
    for delivery_id, status, since in waits:
        waited = (at - since).total_seconds()
        rate: int = locked.sheet.route["wait_rate_cents_per_minute"]
        cents = wait_cents(rate, waited, policy.wait_free_seconds, time_scale=ctx.time_scale)
        if cents:
            found.append((delivery_id, status, LedgerRow(LedgerKind.WAIT, cents)))
    entries = [
        NewEntry(
            ctx.new_id(), delivery_id, row.kind.value, row.amount_cents, earned_by[delivery_id, f"delivery.{status}"]
        )
        for delivery_id, status, row in found
    ]
    if entries:
        await ledger.insert(conn, locked.market_id, locked.driver_id, locked.route_id, rules.currency, at, entries)


async def write_partial(
    ctx: Context, conn: Connection, first: LockedRoute, rows: Sequence[Record], earned_by: EventIds, at: datetime
) -> None:
    """What the first driver has earned of deliveries that a second one takes over. rows: with the first's pay."""
    rules = await ctx.rules.get(conn, first.market_id, ctx.monotonic())
    entries: list[NewEntry] = []
    for row in rows:
        cents = partial_cents(pay_of(row), rules.policy.partial_pay_share)
        if cents:
            event_id = next(number for (each, _), number in earned_by.items() if each == row["delivery_id"])
            entries.append(NewEntry(ctx.new_id(), row["delivery_id"], LedgerKind.PARTIAL.value, cents, event_id))
    if entries:
        await ledger.insert(conn, first.market_id, first.driver_id, first.route_id, rules.currency, at, entries)


def pay_of(row: Record) -> DeliveryPay:
    """What a delivery's row says it earns."""
    return DeliveryPay(row["pay_base_cents"] or 0, row["pay_distance_cents"] or 0)


def _waits(locked: LockedRoute, step: Step) -> list[tuple[UUID, DeliveryStatus, datetime]]:
    """Counters this step is done with: (the delivery that stands for it, what it became, waiting since)."""
    over = {
        move.delivery_id: move.to_status
        for move in step.transitions
        if move.from_status is _D.ARRIVED_AT_PICKUP and move.to_status in _ENDS_THE_WAIT
    }
    ended = {change.stop_id for change in step.stops if change.status in STOP_ENDED}
    since = max(
        (
            at
            for row in locked.sheet.stops
            if (at := row["arrived_at"] if row["kind"] == StopKind.SITE else row["done_at"]) is not None
            and row["kind"] in (StopKind.SITE, StopKind.STORE)
        ),
        default=None,
    )
    if since is None or not over:
        return []
    waits: list[tuple[UUID, DeliveryStatus, datetime]] = []
    for row in locked.sheet.stops:
        if row["kind"] == StopKind.STORE and row["stop_id"] in ended:
            first = next((each for each in row["delivery_ids"] if each in over), None)
            if first is not None:
                waits.append((first, over[first], since))
    return waits
