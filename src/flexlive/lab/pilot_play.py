"""A pilot inside a play: one retailer's offers go to a cohort, drivers who are not enrolled are invited by a notice."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from flexlive.lab.cast import OFFER_TYPE
from flexlive.lab.ops_client import OpsClient
from flexlive.lab.scenario import Scenario
from flexlive.lab.world import World, WorldStore
from flexlive.protocol import ops_market
from flexlive.protocol.ops_market import Notice, Pilot, PilotReport

HOURS = 2
COHORT_SHARE = 0.6
TITLE = "Retail delivery offers near you"
BODY = "We are testing a new offer type near you: retail delivery offers. Opt in to see them."


@dataclass(frozen=True, slots=True)
class PilotPlay:
    """What was set up in one market. notice: to everybody there; those who are not enrolled may opt in."""

    market_id: str
    pilot: Pilot
    notice: Notice


class PilotFigures(Struct, frozen=True, kw_only=True):
    """Drivers, each step of those who took the one before; effects: cohort against control, a line a measure."""

    name: str
    market_id: str
    sent: int
    seen: int
    opted_in: int
    first_accept: int
    effects: tuple[str, ...]


def choose_store(world: World, scenario: Scenario) -> WorldStore | None:
    """A store of the retailer that most is ordered from in its market, if others there have orders too."""
    ordered = Counter(order.external_store_id for order in scenario.orders)
    stores = sorted(world.stores, key=lambda s: (-ordered[s.external_store_id], s.external_store_id))
    for store in stores:
        others = [s for s in stores if s.market_id == store.market_id and s.merchant_id != store.merchant_id]
        if ordered[store.external_store_id] and any(ordered[s.external_store_id] for s in others):
            return store
    return None


async def set_up(client: OpsClient, world: World, scenario: Scenario, run: str) -> PilotPlay | None:
    """Pilot and notice; None when the play has too little for one. The drivers must exist. Raises DemoError."""
    store = choose_store(world, scenario)
    if store is None:
        return None
    ends_at = datetime.now(UTC) + timedelta(hours=HOURS)
    pilot = await client.create_pilot(
        store.market_id,
        ops_market.CreatePilot(
            name=f"Pilot of {store.name} {run}",
            offer_type=OFFER_TYPE,
            merchant_ids=(store.merchant_id,),
            ends_at=ends_at,
            split=ops_market.Split(cohort_share=COHORT_SHARE, control_share=1 - COHORT_SHARE),
        ),
    )
    notice = await client.send_notice(
        store.market_id,
        ops_market.CreateNotice(
            title=TITLE,
            body=BODY,
            audience=ops_market.Audience(kind="market"),
            action="enrol",
            offer_type=OFFER_TYPE,
            expires_at=ends_at,
        ),
    )
    return PilotPlay(store.market_id, pilot, notice)


async def pilot_figures(client: OpsClient, play: PilotPlay) -> PilotFigures:
    """The notice's funnel and the pilot's effect, as the server counts them. Raises DemoError."""
    funnel = await client.funnel(play.market_id, play.notice.notice_id)
    report = await client.pilot_report(play.market_id, play.pilot.pilot_id)
    return PilotFigures(
        name=play.pilot.name,
        market_id=play.market_id,
        sent=funnel.sent,
        seen=funnel.seen,
        opted_in=funnel.opted_in,
        first_accept=funnel.first_accept,
        effects=tuple(effect_lines(report)),
    )


def effect_lines(report: PilotReport) -> list[str]:
    """One line a measure: cohort, control, difference with its interval."""
    lines: list[str] = []
    for effect in report.effects:
        known = effect.difference is not None and effect.low is not None and effect.high is not None
        interval = (
            f"difference {effect.difference:+.2f} [{effect.low:+.2f}, {effect.high:+.2f}] at {effect.confidence:.0%}"
            if known
            else "too few drivers for an interval"
        )
        lines.append(f"{effect.measure}: cohort {_arm(effect.cohort)}, control {_arm(effect.control)}; {interval}")
    return lines


def _arm(arm: ops_market.ArmMeasure) -> str:
    return f"{'–' if arm.mean is None else f'{arm.mean:.2f}'} ({arm.drivers} drivers)"
