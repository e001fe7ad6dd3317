"""What a customer's link shows. The token is the only key; whatever is wrong with it, the answer is the same 404."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from flexlive.domain import cells
from flexlive.domain.deliveries import BEFORE_CUSTODY, TERMINAL, TO_CUSTOMER, DeliveryStatus
from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.domain.eta import eta_seconds
from flexlive.domain.geography import Point
from flexlive.domain.ids import TokenKind, parse_token, token_sha256
from flexlive.domain.markets import MarketPolicy
from flexlive.protocol import customer as wire
from flexlive.services.causes import Cause, by_system
from flexlive.services.context import Context
from flexlive.services.courier_news import arrival, customer_cell
from flexlive.services.delivery_events import OWN_LEG
from flexlive.storage import deliveries, tokens
from flexlive.storage import tracking as rows
from flexlive.storage.events import append
from flexlive.storage.pool import Connection, Executor
from flexlive.storage.tracking import LinkRow, TrackFact
from flexlive.storage.transaction import transaction

LINK_HOURS_AFTER_END: Final = 24
FACTS_ROWS_MAX: Final = 500
"""Of one delivery's own stream; a delivery has about a dozen."""
LINK_REVOKED_KIND: Final = "track.link_revoked"
NOT_VALID: Final = "this tracking link is not valid"
INSTRUCTIONS_EDITABLE: Final = BEFORE_CUSTODY | {DeliveryStatus.PICKED_UP, DeliveryStatus.ENROUTE_TO_DROPOFF}
"""Until the driver stands at the door; what is written later would not be read."""

_REASON_SHOWN: Final = TERMINAL | {DeliveryStatus.UNDELIVERABLE}
_DEFAULT_POLICY: Final = MarketPolicy()


@dataclass(frozen=True, slots=True)
class Link:
    """A live link and the delivery behind it, as of one moment."""

    market_id: str
    token_sha256: bytes = field(repr=False)
    row: LinkRow

    @property
    def delivery_id(self) -> UUID:
        return self.row.delivery_id


async def open_link(ctx: Context, token: str) -> Link:
    """FlexliveError(not_found), alike for unknown, expired, revoked and long-ended links."""
    parts = parse_token(token)
    if parts is not None and parts.kind is TokenKind.TRACK:
        link = await reopen(ctx, parts.market_id, token_sha256(token))
        if link is not None:
            return link
    raise FlexliveError(ErrorCode.NOT_FOUND, NOT_VALID)


async def reopen(ctx: Context, market_id: str, sha256: bytes, conn: Executor | None = None) -> Link | None:
    """The link again as it stands now (conn: for the transaction it is asked in); None when it does not hold any
    more."""
    now = ctx.clock()
    row = await rows.link(
        conn or ctx.pool,
        market_id,
        sha256,
        now=now,
        own_leg=OWN_LEG,
        ended=TERMINAL,
        ended_before=now - timedelta(hours=LINK_HOURS_AFTER_END),
    )
    return None if row is None else Link(market_id, sha256, row)


async def facts(ctx: Context, link: Link, after_seq: int) -> list[TrackFact]:
    """Committed facts of the customer's stream after a position, in order."""
    return await rows.facts(ctx.pool, link.market_id, link.delivery_id, after_seq=after_seq, rows_max=FACTS_ROWS_MAX)


def state(ctx: Context, link: Link, history: Sequence[TrackFact]) -> wire.TrackState:
    """Everything up to and including the link's own position; history: facts from the first on, later ones ignored."""
    row = link.row
    status = DeliveryStatus(row.status)
    seen = _seen(ctx, link)
    return wire.TrackState(
        epoch=ctx.epoch.hex,
        seq=row.track_seq,
        status=row.status,
        status_at=row.status_at,
        readiness=row.readiness,
        terminal=status in TERMINAL,
        external_delivery_id=row.external_delivery_id,
        fulfilled_by=row.fulfilled_by,
        store_name=row.store_name,
        service_level=row.service_level,
        package_count=row.package_count,
        window=wire.DeliveryWindow(row.dropoff_ready_at, row.dropoff_deadline_at),
        time_zone=row.time_zone,
        dropoff_address=row.dropoff_address,
        dropoff_unit=row.dropoff_unit,
        dropoff_instructions=row.dropoff_instructions,
        instructions_editable=status in INSTRUCTIONS_EDITABLE,
        door=wire.Door(row.dropoff_lat, row.dropoff_lon),
        courier_imminent=row.courier_imminent and status in OWN_LEG,
        courier=_courier(ctx, link, seen),
        eta=_eta(ctx, link, seen) if status is DeliveryStatus.ENROUTE_TO_DROPOFF else None,
        pincode=row.pincode if status in TO_CUSTOMER else None,
        recipient=row.recipient if status is DeliveryStatus.DELIVERED else None,
        left_at=row.left_at if status is DeliveryStatus.DELIVERED else None,
        reason_code=row.reason_code if status in _REASON_SHOWN else None,
        timeline=timeline([fact for fact in history if fact.seq <= row.track_seq]),
    )


def timeline(history: Sequence[TrackFact]) -> tuple[wire.TimelineEntry, ...]:
    """The statuses a delivery went through; news within one status does not repeat it."""
    entries: list[wire.TimelineEntry] = []
    for fact in history:
        status, at = fact.data.get("status"), fact.data.get("at")
        if isinstance(status, str) and isinstance(at, str) and (not entries or entries[-1].status != status):
            entries.append(wire.TimelineEntry(status, at))
    return tuple(entries)


async def revoke_links(ctx: Context, market_id: str, delivery_id: UUID) -> int:
    """End every link to a delivery: new requests at once, open streams as soon as the event arrives. How many.

    FlexliveError(not_found) for a delivery that is not in this market."""
    async with transaction(ctx.pool) as conn:
        if await deliveries.lock(conn, market_id, delivery_id) is None:
            raise FlexliveError(ErrorCode.NOT_FOUND)
        ended = await revoke(conn, market_id, delivery_id, by_system(ctx.clock()))
    if ended:
        ctx.committed(market_id)
    return ended


async def revoke(conn: Connection, market_id: str, delivery_id: UUID, cause: Cause) -> int:
    """The same inside a transaction that holds the delivery's row. How many links ended; call ctx.committed after."""
    ended = await tokens.revoke_subject(conn, market_id, "track", delivery_id, cause.received_at)
    if ended:
        await deliveries.end_links(conn, market_id, delivery_id)
        row = await deliveries.lock(conn, market_id, delivery_id)
        assert row is not None
        # The customer's own stream says neither who acted nor who drives.
        anonymous = by_system(cause.received_at, cause.reason_code)
        told = {"status": row["status"], "at": cause.received_at, "courier": None}
        await append(conn, market_id, [anonymous.event("track", delivery_id, LINK_REVOKED_KIND, told)])
    return ended


@dataclass(frozen=True, slots=True)
class _Seen:
    """Where the courier of the own leg was last, and when we heard of it."""

    point: Point
    at: datetime


def _seen(ctx: Context, link: Link) -> _Seen | None:
    row = link.row
    if row.driver_id is None:
        return None
    present = ctx.presence.get(link.market_id, row.driver_id)
    if present is not None:
        return _Seen(Point(present.position.lat, present.position.lon), present.position.received_at)
    if row.courier_lat is None or row.courier_lon is None or row.courier_seen_at is None:
        return None
    return _Seen(Point(row.courier_lat, row.courier_lon), row.courier_seen_at)


def _courier(ctx: Context, link: Link, seen: _Seen | None) -> wire.Courier | None:
    row = link.row
    if row.courier_first_name is None or row.driver_id is None:
        return None
    if seen is None:
        return wire.Courier(row.courier_first_name, None)
    door, policy = Point(row.dropoff_lat, row.dropoff_lon), _policy(ctx, link)
    return wire.Courier(row.courier_first_name, cells.to_wire(customer_cell(seen.point, door, policy)))


def _eta(ctx: Context, link: Link, seen: _Seen | None) -> wire.Arrival | None:
    if seen is None:
        return None
    policy, now = _policy(ctx, link), ctx.clock()
    seconds = eta_seconds(seen.point, Point(link.row.dropoff_lat, link.row.dropoff_lon), policy)
    return arrival(seen.at + timedelta(seconds=seconds), now, policy)


def _policy(ctx: Context, link: Link) -> MarketPolicy:
    rules = ctx.rules.peek(link.market_id)
    return rules.policy if rules is not None else _DEFAULT_POLICY
