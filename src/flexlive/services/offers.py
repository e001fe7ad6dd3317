"""Offers from the driver's side: accepting (in groups), declining, and the open ones for a board that starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from flexlive.domain.deliveries import DeliveryStatus
from flexlive.domain.drivers import DriverState, DriverStatus, Presence, Vehicle
from flexlive.domain.offers import (
    AcceptRequest,
    Conflict,
    NotEligible,
    OfferState,
    OfferStatus,
    Outcome,
    Won,
    decide_batch,
    result_code,
)
from flexlive.protocol.driver import OfferAccept, OfferDecline
from flexlive.services import accepted_routes
from flexlive.services.answers import OK, Answer, request_sha256, result_body
from flexlive.services.causes import by_driver
from flexlive.services.context import Context
from flexlive.services.drivers import DriverPrincipal
from flexlive.storage import command_results, drivers, offers
from flexlive.storage.command_results import CommandKey, StoredResult
from flexlive.storage.events import append
from flexlive.storage.offers import Acceptance
from flexlive.storage.pool import Connection, Executor, Record
from flexlive.storage.transaction import transaction


@dataclass(frozen=True, slots=True)
class AcceptItem:
    """One accept on its way into a group commit."""

    principal: DriverPrincipal
    device_id: str
    command: OfferAccept

    @property
    def key(self) -> CommandKey:
        return CommandKey(self.principal.driver_id, self.device_id, self.command.cmd)


@dataclass(frozen=True, slots=True)
class OpenOffer:
    """data: as the `offer.opened` event, with all cells. declined_by: who is not shown it any more."""

    data: Mapping[str, Any]
    declined_by: tuple[UUID, ...]


async def accept(ctx: Context, item: AcceptItem) -> bytes:
    """The `result` frame's body; "won" means a committed row."""
    return await ctx.group_commit.submit(item.principal.market_id, item.principal.driver_id, item)


async def commit_accepts(ctx: Context, market_id: str, items: Sequence[AcceptItem]) -> list[bytes]:
    """One transaction for a batch of accepts, at most one per driver; the answers in order.

    Lock order: drivers, offers, deliveries. The database clock is read after the offers' locks.
    """
    driver_ids = sorted({item.principal.driver_id for item in items})
    async with transaction(ctx.pool) as conn:
        await drivers.lock(conn, market_id, driver_ids)
        asks = [(item.key, item.command.offer_id) for item in items]
        standing = {row["driver_id"]: row for row in await drivers.standing(conn, market_id, asks)}
        known = {each: row for each, row in standing.items() if row["body"] is not None}
        fresh = [item for item in items if item.principal.driver_id not in known]
        bodies: dict[UUID, bytes] = {}
        if fresh:
            bodies = await _decide_fresh(ctx, conn, market_id, standing, fresh)
            stored = [
                (item.key, StoredResult(request_sha256(item.command), bodies[item.principal.driver_id]))
                for item in fresh
            ]
            await command_results.insert(conn, market_id, stored, ctx.clock())
    if fresh:
        ctx.committed(market_id)
    return [
        bodies[driver_id] if (driver_id := item.principal.driver_id) in bodies else _repeat(item, known[driver_id])
        for item in items
    ]


async def decline(conn: Connection, principal: DriverPrincipal, command: OfferDecline, now: datetime) -> Answer:
    """This driver is not shown this work again; saying so twice changes nothing.

    A fact of the driver's own stream: the offer's row is what everyone races for, and many decline what one accepts.
    """
    market_id, driver_id = principal.market_id, principal.driver_id
    if not await offers.exists(conn, market_id, command.offer_id):
        return Answer("not_found")
    if await offers.decline(conn, market_id, command.offer_id, driver_id, command.reason, now):
        cause = by_driver(driver_id, now, now, command.reason)
        event = cause.event("driver", driver_id, "driver.declined", {"offer_id": command.offer_id})
        await append(conn, market_id, [event])
    return OK


async def open_offers(ctx: Context, market_id: str) -> list[OpenOffer]:
    """The market's open offers, for a process that starts."""
    async with ctx.pool.acquire() as conn:
        rows = await offers.open_now(conn, market_id)
        declined = await _declined_by(conn, market_id, [row["offer_id"] for row in rows])
    return [
        OpenOffer(
            data={
                "offer": row["payload"],
                "cells": accepted_routes.cells_on_wire(row["cells"]),
                "pilots": row["pilot_ids"],
            },
            declined_by=declined.get(row["offer_id"], ()),
        )
        for row in rows
    ]


async def _decide_fresh(
    ctx: Context, conn: Connection, market_id: str, standing: Mapping[UUID, Record], items: Sequence[AcceptItem]
) -> dict[UUID, bytes]:
    """Answers by driver."""
    offer_ids = sorted({item.command.offer_id for item in items})
    rows = await offers.lock_many(conn, market_id, offer_ids)
    if not rows:
        return {item.principal.driver_id: result_body(item.command.cmd, Answer("not_found")) for item in items}
    db_now: datetime = max(row["db_now"] for row in rows)
    open_ids = [row["offer_id"] for row in rows if row["status"] == "open"]
    work = await offers.lock_deliveries(conn, market_id, open_ids) if open_ids else []
    spoilt = {row["offer_id"] for row in work if row["status"] != DeliveryStatus.CREATED}
    requests = [
        AcceptRequest(item.command.offer_id, item.principal.driver_id, item.command.offer_version) for item in items
    ]
    outcomes = decide_batch(
        requests,
        {row["offer_id"]: _offer_state(row, row["offer_id"] in spoilt) for row in rows},
        {
            request.driver_id: driver_state(
                row, frozenset({request.offer_id}) if row["declined"] else frozenset[UUID]()
            )
            for request in requests
            if (row := standing.get(request.driver_id)) is not None
        },
        db_now,
    )
    won = [
        Acceptance(request.offer_id, request.driver_id, ctx.new_id(), outcome.slot, db_now)
        for request, outcome in zip(requests, outcomes, strict=True)
        if isinstance(outcome, Won)
    ]
    if won:
        won_ids = {acceptance.offer_id for acceptance in won}
        await accepted_routes.write(ctx, conn, market_id, won, [row for row in work if row["offer_id"] in won_ids])
    return {
        item.principal.driver_id: result_body(item.command.cmd, _answer(outcome))
        for item, outcome in zip(items, outcomes, strict=True)
    }


def _answer(outcome: Outcome) -> Answer:
    match outcome:
        case Conflict():
            return Answer("conflict", {"offer_version": outcome.current})
        case NotEligible():
            return Answer("not_eligible", {"reason": outcome.reason.value})
        case _:
            return Answer(result_code(outcome))


def _repeat(item: AcceptItem, stored: Record) -> bytes:
    if stored["request_sha256"] == request_sha256(item.command):
        return stored["body"]
    return result_body(item.command.cmd, Answer("conflict"))


def _offer_state(row: Record, spoilt: bool) -> OfferState:
    # An offer whose delivery is no longer waiting (cancelled, assigned by ops) is as good as withdrawn.
    return OfferState(
        offer_id=row["offer_id"],
        status=OfferStatus.WITHDRAWN if spoilt else OfferStatus(row["status"]),
        version=row["version"],
        valid_until=row["valid_until"],
        offer_type=row["offer_type"],
        driver_id=row["driver_id"],
        cells=frozenset(row["cells"]),
        package_count=row["package_count"],
        weight_grams=row["weight_grams"],
        must_be_upright=row["must_be_upright"],
        pilots=frozenset(row["pilot_ids"]),
    )


def driver_state(row: Record, declined: frozenset[UUID]) -> DriverState:
    """A row of storage.drivers.standing as the domain reads it."""
    return DriverState(
        driver_id=row["driver_id"],
        status=DriverStatus(row["status"]),
        presence=Presence(row["presence"]),
        enrolled=frozenset(row["offer_types"]),
        pilots=frozenset(row["pilot_ids"]),
        vehicle=None
        if row["packages_max"] is None
        else Vehicle(row["packages_max"], row["weight_grams_max"], row["carries_upright"]),
        slots_used=frozenset(row["slots_used"]),
        routes_active_max=row["routes_active_max"],
        declined=declined,
    )


async def _declined_by(conn: Executor, market_id: str, offer_ids: Sequence[UUID]) -> dict[UUID, tuple[UUID, ...]]:
    pairs = sorted(await offers.declined_by(conn, market_id, offer_ids))
    return {offer_id: tuple(driver for _, driver in group) for offer_id, group in groupby(pairs, key=lambda p: p[0])}
