"""A step of a route made durable: what the pure step functions decided, in one transaction with its facts and money."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias
from uuid import UUID

from flexlive.domain.deliveries import TERMINAL, DeliveryStatus
from flexlive.domain.errors import CATALOGUE
from flexlive.domain.routes import Step, StepRefused, on_statuses_changed
from flexlive.domain.stops import RouteStatus, StopKind, StopState, StopStatus
from flexlive.services import delivery_moves, earned, stop_places
from flexlive.services.answers import OK, Answer
from flexlive.services.causes import Cause, by_system
from flexlive.services.context import Context
from flexlive.services.delivery_moves import Details
from flexlive.services.earned import EventIds
from flexlive.services.route_view import route_view
from flexlive.storage import offers, route_writes, routes
from flexlive.storage.events import NewEvent, append
from flexlive.storage.pool import Connection, Record
from flexlive.storage.route_writes import StopMark
from flexlive.storage.routes import RouteSheet

Stops: TypeAlias = Sequence[StopState]
Statuses: TypeAlias = Mapping[UUID, DeliveryStatus]
Decision: TypeAlias = Step | StepRefused

NOT_FOUND: Final = Answer("not_found")


@dataclass(frozen=True, slots=True)
class LockedRoute:
    """A route whose deliveries and own row this transaction holds, as it was when it was read: good for one step.

    statuses: what is on it. incoming: what waits at a hand-over to come onto it."""

    market_id: str
    driver_id: UUID
    sheet: RouteSheet
    stops: tuple[StopState, ...]
    statuses: Mapping[UUID, DeliveryStatus]
    incoming: Mapping[UUID, DeliveryStatus]

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
    locked = await _lock(conn, market_id, driver_id, await routes.of_delivery(conn, market_id, delivery_id))
    # It may have left the route while we waited for the lock.
    return locked if locked is not None and delivery_id in locked.statuses else None


async def lock_by_route(conn: Connection, market_id: str, driver_id: UUID, route_id: UUID) -> LockedRoute | None:
    """The driver's own route; None alike for unknown and foreign ones."""
    return await _lock(conn, market_id, driver_id, await routes.of_route(conn, market_id, route_id))


async def load(conn: Connection, market_id: str, route_id: UUID) -> LockedRoute | None:
    """A route as it stands now, for a caller that holds it and its deliveries already."""
    sheets = await routes.sheets(conn, market_id, [route_id])
    return _locked(market_id, sheets[0]) if sheets else None


async def take(
    ctx: Context,
    conn: Connection,
    locked: LockedRoute,
    decide: Callable[[Stops, Statuses], Decision],
    cause: Cause,
    details: Details | None = None,
) -> Answer:
    """Ask the domain and write what it says; a refusal changes nothing."""
    step = decide(locked.stops, locked.statuses)
    if isinstance(step, StepRefused):
        return refusal(step)
    if step != Step():
        await write(ctx, conn, locked, step, cause, details)
    return OK


def refusal(step: StepRefused) -> Answer:
    code = CATALOGUE[step.code].result_code
    assert code is not None, step.code
    return Answer(code, {"status": step.current} if step.current is not None else None)


async def write(
    ctx: Context,
    conn: Connection,
    locked: LockedRoute,
    step: Step,
    cause: Cause,
    details: Details | None = None,
) -> EventIds:
    """Deliveries, packages, stops, route, slot, offer, facts, ledger – in this transaction. The deliveries' events.

    details: what the event of a status says besides."""
    market_id = locked.market_id
    events = await delivery_moves.apply(
        conn,
        market_id,
        step.transitions,
        cause,
        driver_id=locked.driver_id,
        route_id=locked.route_id,
        details=details,
    )
    await stop_places.quote_returns(ctx, conn, locked, step)
    marks = _marks(locked, step, cause)
    if marks:
        await route_writes.mark_stops(conn, market_id, marks)
    if step.added:
        await stop_places.append(ctx, conn, locked, step.added)
    events += await _end_offer(conn, locked, step, cause)
    await route_writes.advance(
        conn,
        market_id,
        locked.route_id,
        ended_as=None if step.ended is None else step.ended.value,
        at=None if step.ended is None else cause.received_at,
    )
    [sheet] = await routes.sheets(conn, market_id, [locked.route_id])
    shown = {"driver_id": locked.driver_id, "route": route_view(sheet)}
    kind = "route.advanced" if step.ended is None else f"route.{step.ended.value}"
    events.append(cause.event("route", locked.route_id, kind, shown))
    earned_by = earned.event_ids(events, await append(conn, market_id, events))
    await earned.write(ctx, conn, locked, step, earned_by, cause.received_at)
    await _settle_transfers(ctx, conn, locked, step, cause)
    return earned_by


async def _lock(
    conn: Connection, market_id: str, driver_id: UUID, found: tuple[UUID, UUID] | None
) -> LockedRoute | None:
    if found is None or found[1] != driver_id or await routes.lock(conn, market_id, found[0]) is None:
        return None
    return await load(conn, market_id, found[0])


def _locked(market_id: str, sheet: RouteSheet) -> LockedRoute:
    route_id = sheet.route["route_id"]
    at = {each: DeliveryStatus(row["status"]) for each, row in sheet.deliveries.items()}
    statuses = {each: at[each] for each, row in sheet.deliveries.items() if row["route_id"] == route_id}
    incoming = {each: at[each] for each, row in sheet.deliveries.items() if row["route_id"] != route_id}
    stops = tuple(
        StopState(
            stop_id=row["stop_id"],
            sequence=row["sequence"],
            kind=StopKind(row["kind"]),
            status=StopStatus(row["status"]),
            # A delivery that left this route (re-offered, transferred) is no work of its stops.
            delivery_ids=tuple(
                each for each in row["delivery_ids"] if each in (incoming if row["kind"] == "handover" else statuses)
            ),
            store_id=row["store_id"],
        )
        for row in sheet.stops
    )
    return LockedRoute(market_id, sheet.route["driver_id"], sheet, stops, statuses, incoming)


def _marks(locked: LockedRoute, step: Step, cause: Cause) -> list[StopMark]:
    at = cause.received_at
    marks: dict[UUID, StopMark] = {}
    kinds = {stop.stop_id: stop.kind for stop in locked.stops}
    for change in step.stops:
        mark = marks.setdefault(change.stop_id, StopMark(stop_id=change.stop_id, status=change.status.value))
        mark.status = change.status.value
        if change.status is StopStatus.ARRIVED:
            mark.arrived_at = at
        elif change.status is StopStatus.DONE or kinds[change.stop_id] is StopKind.STORE:
            # A counter passed over ends a wait as well as one that was served: the next one's begins here.
            mark.done_at = at
    if step.departed_stop_id is not None:
        going = next(stop for stop in locked.stops if stop.stop_id == step.departed_stop_id)
        mark = marks.setdefault(going.stop_id, StopMark(stop_id=going.stop_id, status=going.status.value))
        mark.departed_at = at
    return list(marks.values())


async def _end_offer(conn: Connection, locked: LockedRoute, step: Step, cause: Cause) -> list[NewEvent]:
    """The offer ends with its route; what was given back leaves an offer that goes on."""
    offer_id: UUID | None = locked.sheet.route["offer_id"]
    if offer_id is None:
        return []
    given_back = [each.delivery_id for each in step.transitions if each.to_status is DeliveryStatus.CREATED]
    if step.ended is None:
        if given_back:
            await offers.release(conn, locked.market_id, offer_id, given_back)
        return []
    status = "forfeited" if step.ended is RouteStatus.FORFEITED else "completed"
    if not await offers.end(conn, locked.market_id, offer_id, status, cause.received_at):
        return []
    return [cause.event("offer", offer_id, f"offer.{status}", {"offer_id": offer_id})]


async def _settle_transfers(ctx: Context, conn: Connection, locked: LockedRoute, step: Step, cause: Cause) -> None:
    """What has come to an end on this route is not taken over any more: the second driver's route loses it."""
    ended = {each.delivery_id for each in step.transitions if each.to_status in TERMINAL}
    second = {
        row["transfer_route_id"]
        for each, row in locked.sheet.deliveries.items()
        if each in ended and row["transfer_route_id"] not in (None, locked.route_id)
    }
    for route_id in sorted(second):
        other = await load(conn, locked.market_id, route_id)
        if other is not None:
            follows = on_statuses_changed(other.stops, other.statuses)
            await write(ctx, conn, other, follows, by_system(cause.received_at))
