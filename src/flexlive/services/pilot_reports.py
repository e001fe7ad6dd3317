"""What a pilot has shown: the funnel of its cohort, and the cohort against the control, each with its interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

from flexlive.domain.effect import CONFIDENCE, Group, effect
from flexlive.domain.pilots import PilotArm
from flexlive.protocol import ops_market as wire
from flexlive.services import markets, notices, pilots
from flexlive.services.context import Context
from flexlive.storage import pilots as rows
from flexlive.storage.pool import Record

Measure = Callable[[Record], float | None]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _ended(row: Record) -> int:
    return row["ended"] or 0


MEASURES: Final[dict[wire.MeasureName, Measure]] = {
    "earnings_cents": lambda row: float(row["earnings_cents"]),
    "deliveries": lambda row: float(row["delivered"] or 0),
    "accept_share": lambda row: _share(row["accepted"], row["accepted"] + row["declined"]),
    "in_window_share": lambda row: _share(row["in_window"] or 0, _ended(row)),
}
"""Of one driver. Sums count everybody, also who never worked: the question is what being in the cohort goes with, not
what working does. Shares are known only of those who have a denominator."""


async def report(ctx: Context, market_id: str, pilot_id: UUID) -> wire.PilotReport:
    """As of now. FlexliveError(not_found)."""
    pilot = await pilots.get(ctx, market_id, pilot_id)
    market = await markets.get(ctx, market_id)
    from_at = pilot.starts_at
    to_at = max(from_at, min(ctx.clock(), pilot.ends_at, pilot.killed_at or pilot.ends_at))
    async with ctx.pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        members = await rows.measures(conn, market_id, pilot_id, from_at, to_at)
        funnel = await rows.cohort_funnel(conn, market_id, pilot_id)
    return wire.PilotReport(
        pilot=pilot,
        currency=market.currency,
        from_at=from_at,
        to_at=to_at,
        funnel=notices.shown_funnel(funnel),
        effects=tuple(_effect(name, measure, members) for name, measure in MEASURES.items()),
    )


def _effect(name: wire.MeasureName, measure: Measure, members: Sequence[Record]) -> wire.Effect:
    values = {
        arm: [value for row in members if row["arm"] == arm and (value := measure(row)) is not None] for arm in PilotArm
    }
    found = effect(values[PilotArm.COHORT], values[PilotArm.CONTROL])
    return wire.Effect(
        measure=name,
        cohort=_arm(found.cohort),
        control=_arm(found.control),
        difference=found.difference,
        low=found.low,
        high=found.high,
        confidence=CONFIDENCE,
    )


def _arm(group: Group) -> wire.ArmMeasure:
    return wire.ArmMeasure(drivers=group.size, mean=group.mean)
