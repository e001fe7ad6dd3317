"""What a customer's link shows. The token is the only key; whatever is wrong with it, the answer is the same 404."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from uuid import UUID

from flexlive.domain import cells
from flexlive.domain.deliveries import TERMINAL, TO_CUSTOMER, DeliveryStatus
from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.domain.ids import TokenKind, parse_token, token_sha256
from flexlive.domain.markets import MarketPolicy
from flexlive.protocol import customer as wire
from flexlive.services.causes import by_system
from flexlive.services.context import Context
from flexlive.services.delivery_events import OWN_LEG
from flexlive.storage import deliveries, tokens
from flexlive.storage import tracking as rows
from flexlive.storage.events import append
from flexlive.storage.tracking import LinkRow, TrackFact
from flexlive.storage.transaction import transaction

LINK_HOURS_AFTER_END: Final = 24
FACTS_ROWS_MAX: Final = 500
"""Of one delivery's own stream; a delivery has about a dozen."""
LINK_REVOKED_KIND: Final = "track.link_revoked"

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
    raise FlexliveError(ErrorCode.NOT_FOUND, "this tracking link is not valid")


async def reopen(ctx: Context, market_id: str, sha256: bytes) -> Link | None:
    """The link again as it stands now; None when it does not hold any more."""
    now = ctx.clock()
    row = await rows.link(
        ctx.pool,
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
        courier_imminent=row.courier_imminent and status in OWN_LEG,
        courier=_courier(ctx, link),
        pincode=row.pincode if status in TO_CUSTOMER else None,
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
    """End every link to a delivery: new requests at once, open streams as soon as the event arrives. How many."""
    now = ctx.clock()
    async with transaction(ctx.pool) as conn:
        row = await deliveries.lock(conn, market_id, delivery_id)
        if row is None:
            raise FlexliveError(ErrorCode.NOT_FOUND)
        ended = await tokens.revoke_subject(conn, market_id, "track", delivery_id, now)
        told = {"status": row["status"], "at": now, "courier": None}
        revoked = by_system(now).event("track", delivery_id, LINK_REVOKED_KIND, told)
        if ended:
            await append(conn, market_id, [revoked])
    if ended:
        ctx.committed(market_id)
    return ended


def _courier(ctx: Context, link: Link) -> wire.Courier | None:
    row = link.row
    if row.courier_first_name is None or row.driver_id is None:
        return None
    rules = ctx.rules.peek(link.market_id)
    policy = rules.policy if rules is not None else _DEFAULT_POLICY
    present = ctx.presence.get(link.market_id, row.driver_id)
    if present is not None:
        cell = cells.cell_of(present.position.lat, present.position.lon, policy.customer_cell_resolution)
    elif row.courier_lat is not None and row.courier_lon is not None:
        cell = cells.cell_of(row.courier_lat, row.courier_lon, policy.customer_cell_resolution)
    else:
        cell = None
    return wire.Courier(row.courier_first_name, None if cell is None else cells.to_wire(cell))
