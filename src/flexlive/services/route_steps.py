"""A step of a route made durable: what the pure step functions decided, in one transaction with its facts and money."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

from flexlive.domain.deliveries import DeliveryStatus
from flexlive.domain.errors import CATALOGUE
from flexlive.domain.pay import route_rows
from flexlive.domain.routes import Step, StepRefused
from flexlive.domain.stops import RouteStatus, StopKind, StopState, StopStatus
from flexlive.services.answers import OK, Answer
from flexlive.services.causes import Cause
from flexlive.services.context import Context
from flexlive.services.delivery_events import delivery_events
from flexlive.services.route_view import route_view
from flexlive.storage import drivers, ledger, offers, routes
from flexlive.storage.events import Appended, NewEvent, append
from flexlive.storage.ledger import NewEntry
from flexlive.storage.pool import Connection, Record
from flexlive.storage.routes import RouteSheet

Stops: TypeAlias = Sequence[StopState]
Statuses: TypeAlias = Mapping[UUID, DeliveryStatus]
Decision: TypeAlias = Step | StepRefused

NOT_FOUND = Answer("not_found")


@dataclass(frozen=True, slots=True)
class LockedRoute:
    """A route whose deliveries and own row this transaction holds."""

    market_id: str
    driver_id: UUID
    sheet: RouteSheet
    stops: tuple[StopState, ...]
    statuses: Mapping[UUID, DeliveryStatus]

    @property
    def route_id(self) -> UUID:
        return self.sheet.route["route_id"]

    def stop(self, stop_id: UUID) -> Record | None:
        """The stop's row."""
        return next((row for row in self.sheet.stops if row["stop_id"] == stop_id), None)


async def lock_by_stop(conn: Connection, market_id: str, driver_id: UUID, stop_id: UUID) -> LockedRoute | None:
    """The driver's own route with that stop; None alike for unknown and foreign ones."""
    return await _lock(conn, market_id, driver_id, await routes.of_stop(conn, market_id, stop_id))


async def lock_by_delivery(conn: Connection, market_id: str, driver_id: UUID, delivery_id: UUID) -> LockedRoute | None:
    """The driver's own route with that delivery on it; None alike for unknown and foreign ones."""
    return await _lock(conn, market_id, driver_id, await routes.of_delivery(conn, market_id, delivery_id))


async def take(
    ctx: Context, conn: Connection, locked: LockedRoute, decide: Callable[[Stops, Statuses], Decision], cause: Cause
) -> Answer:
    """Ask the domain and write what it says; a refusal changes nothing."""
    step = decide(locked.stops, locked.statuses)
    if isinstance(step, StepRefused):
        code = CATALOGUE[step.code].result_code
        assert code is not None, step.code
        return Answer(code, {"status": step.current} if step.current is not None else None)
    if step != Step():
        await write(ctx, conn, locked, step, cause)
    return OK


async def write(ctx: Context, conn: Connection, locked: LockedRoute, step: Step, cause: Cause) -> None:
    """Deliveries, stops, route, slot, offer, facts, ledger – in this transaction."""
    market_id = locked.market_id
    events: list[NewEvent] = []
    first_name = await drivers.first_name(conn, market_id, locked.driver_id)
    for transition in step.transitions:
        moved = await routes.move(
            conn,
            market_id,
            [transition.delivery_id],
            transition.to_status.value,
            [transition.from_status.value],
            cause.received_at,
        )
        if len(moved) != 1:
            raise AssertionError(f"{transition} under lock moved {len(moved)} rows")
        events.extend(delivery_events(moved[0], locked.driver_id, first_name, cause))
    await _write_stops(conn, locked, step, cause)
    await routes.advance(conn, market_id, locked.route_id)
    offer_id: UUID | None = locked.sheet.route["offer_id"]
    if step.route_completed:
        await routes.end(conn, market_id, locked.route_id, RouteStatus.COMPLETED.value, cause.received_at)
        if offer_id is not None and await offers.complete(conn, market_id, offer_id, cause.received_at):
            events.append(cause.event("offer", offer_id, "offer.completed", {"offer_id": offer_id}))
    [sheet] = await routes.sheets(conn, market_id, [locked.route_id])
    shown = {"driver_id": locked.driver_id, "route": route_view(sheet)}
    kind = "route.completed" if step.route_completed else "route.advanced"
    events.append(cause.event("route", locked.route_id, kind, shown))
    appended = await append(conn, market_id, events)
    if step.route_completed and offer_id is not None:
        await _write_pay(ctx, conn, locked, sheet, offer_id, events, appended, cause)


async def _lock(
    conn: Connection, market_id: str, driver_id: UUID, found: tuple[UUID, UUID] | None
) -> LockedRoute | None:
    if found is None or found[1] != driver_id:
        return None
    route = await routes.lock(conn, market_id, found[0])
    if route is None:
        return None
    [sheet] = await routes.sheets(conn, market_id, [found[0]])
    stops = tuple(
        StopState(
            stop_id=row["stop_id"],
            sequence=row["sequence"],
            kind=StopKind(row["kind"]),
            status=StopStatus(row["status"]),
            # A delivery that left this route (re-offered, transferred) is no work of its stops.
            delivery_ids=tuple(each for each in row["delivery_ids"] if each in sheet.deliveries),
        )
        for row in sheet.stops
    )
    statuses = {each: DeliveryStatus(row["status"]) for each, row in sheet.deliveries.items()}
    return LockedRoute(market_id, driver_id, sheet, stops, statuses)


async def _write_stops(conn: Connection, locked: LockedRoute, step: Step, cause: Cause) -> None:
    at = cause.received_at
    for change in step.stops:
        await routes.mark_stop(
            conn,
            locked.market_id,
            change.stop_id,
            change.status.value,
            arrived_at=at if change.status is StopStatus.ARRIVED else None,
            done_at=at if change.status is StopStatus.DONE else None,
        )
    if step.departed_stop_id is not None:
        await routes.mark_stop(conn, locked.market_id, step.departed_stop_id, StopStatus.PENDING.value, departed_at=at)


async def _write_pay(
    ctx: Context,
    conn: Connection,
    locked: LockedRoute,
    sheet: RouteSheet,
    offer_id: UUID,
    events: Sequence[NewEvent],
    appended: Sequence[Appended],
    cause: Cause,
) -> None:
    pay = await ledger.offer_pay(conn, locked.market_id, offer_id)
    if pay is None:
        return
    delivered = {each for each, row in sheet.deliveries.items() if row["status"] == DeliveryStatus.DELIVERED}
    tips = {each: row["tip_cents"] for each, row in sheet.deliveries.items()}
    # The step that ends the route earns all of it, so the route's own event is the one to name.
    earned_by = next(
        place.event_id for event, place in zip(events, appended, strict=True) if event.kind == "route.completed"
    )
    entries = [
        NewEntry(ctx.new_id(), row.delivery_id, row.kind.value, row.amount_cents, earned_by)
        for row in route_rows(pay.base_cents, tips, delivered)
    ]
    if entries:
        await ledger.insert(
            conn, locked.market_id, locked.driver_id, locked.route_id, pay.currency, cause.received_at, entries
        )
