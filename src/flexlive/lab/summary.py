"""The result of a run as one value: counted on the clients' side, judged against the database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import Struct

from flexlive.lab import cross_check
from flexlive.lab.book import Book, OrderStory
from flexlive.lab.convergence import Convergence
from flexlive.lab.cross_check import Committed, OpenOrder
from flexlive.lab.fleet_messages import Finished, Tally
from flexlive.lab.pilot_play import PilotFigures
from flexlive.lab.stats import Percentiles, percentiles
from flexlive.storage.audit import CHECKS

TEXTS_MAX = 50
# I8: when faults stop, every client is in step again within so long.
CONVERGED_SECONDS_MAX = 30.0


class DayFigures(Struct, frozen=True, kw_only=True):
    """In the minutes of the play (wall time × speed), over delivered orders."""

    delivered_share: float | None
    click_to_door_minutes: Percentiles
    ready_to_pickup_minutes: Percentiles


class ChaosFigures(Struct, frozen=True, kw_only=True):
    """converge_seconds: from the last kill until the slowest client was in step with the database, looked at from the
    clients' side; None when one never was. clients: how many were looked at; lagging: who was not in step, and why.
    """

    server_kills: int
    database_kills: int
    clients: int
    converge_seconds: float | None
    convergence_seconds: Percentiles
    lagging: tuple[str, ...]


class Summary(Struct, frozen=True, kw_only=True):
    """What `--json` writes. *_ms: milliseconds of the wall clock; violations: broken invariants in words.

    lab_late_ms: how late the simulated phones' own timers rang; that much of each latency is the lab's.
    """

    scenario: str
    ok: bool
    drivers: int
    orders_created: int
    offers_opened: int
    offers_shown: int
    offers_accepted: int
    orders_accepted: int
    accepts_refused: int
    refusals: dict[str, int]
    double_accepts: int
    deliveries_delivered: int
    outcomes: dict[str, int]
    orders_open: int
    open_orders: tuple[str, ...]
    offer_push_ms: Percentiles
    accept_ms: Percentiles
    order_to_accept_ms: Percentiles
    lab_late_ms: Percentiles
    first_offer_seconds: float | None
    facts: int
    tracking_events: int
    tracking_holes: int
    reconnects: int
    mishaps: dict[str, int]
    decisions: dict[str, int]
    pilot: PilotFigures | None
    answers_checked: int
    audit_checks: int
    audit_findings: int
    chaos: ChaosFigures | None
    day: DayFigures
    errors: int
    error_texts: tuple[str, ...]
    violation_count: int
    violations: tuple[str, ...]
    seed: int
    speed: float
    wall_seconds: float


@dataclass(slots=True)
class Samples:
    """Everything the fleet's tallies brought, added up."""

    last: Tally | None = None
    push_ms: list[float] = field(default_factory=list[float])
    accept_ms: list[float] = field(default_factory=list[float])
    late_ms: list[float] = field(default_factory=list[float])

    def add(self, tally: Tally) -> None:
        self.last = tally
        self.push_ms += tally.push_ms
        self.accept_ms += tally.accept_ms
        self.late_ms += tally.late_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What the run was."""

    scenario: str
    drivers: int
    seed: int
    speed: float
    wall_seconds: float
    first_offer_seconds: float | None
    page_reconnects: int
    server_kills: int = 0
    database_kills: int = 0
    convergence: Convergence | None = None
    answers_checked: int = 0
    pilot: PilotFigures | None = None
    decisions: Mapping[str, int] = field(default_factory=dict[str, int])


def summarise(run: RunFacts, book: Book, samples: Samples, finished: Finished, committed: Committed) -> Summary:
    """Counts, percentiles and verdict."""
    doubles = cross_check.double_accepts(finished)
    still_open = cross_check.open_orders(committed, book)
    holes = cross_check.tracking_holes(committed, book)
    chaos = _chaos_figures(run)
    violations = _violations(book, finished, committed, doubles, still_open, holes, chaos)
    tally, created = samples.last, book.created
    errors = book.troubles.count + (tally.errors if tally else 0)
    pages = [order.page for order in created if order.page is not None]
    return Summary(
        scenario=run.scenario,
        ok=not violations and not finished.violation_count and not errors,
        drivers=run.drivers,
        orders_created=len(created),
        offers_opened=len(finished.offers_seen),
        offers_shown=tally.offers_shown if tally else 0,
        offers_accepted=len(finished.wins),
        orders_accepted=sum(order.accepted_at is not None for order in created),
        accepts_refused=sum(tally.accepts_refused.values()) if tally else 0,
        refusals=tally.accepts_refused if tally else {},
        double_accepts=len(doubles),
        deliveries_delivered=len(finished.delivered),
        outcomes=cross_check.outcomes(committed, book),
        orders_open=len(still_open),
        open_orders=tuple(f"{o.external_delivery_id} {o.status}: {o.why}" for o in still_open[:TEXTS_MAX]),
        offer_push_ms=percentiles(samples.push_ms),
        accept_ms=percentiles(samples.accept_ms),
        order_to_accept_ms=percentiles(
            (o.accepted_at - o.intended_at) * 1000 for o in created if o.accepted_at is not None
        ),
        lab_late_ms=percentiles(samples.late_ms),
        first_offer_seconds=run.first_offer_seconds,
        facts=tally.facts if tally else 0,
        tracking_events=sum(page.facts + page.stated for page in pages),
        tracking_holes=holes,
        reconnects=(tally.reconnects if tally else 0) + run.page_reconnects,
        mishaps=dict(Counter(order.plan.mishap.value for order in created if order.plan.mishap is not None)),
        decisions=dict(run.decisions),
        pilot=run.pilot,
        answers_checked=run.answers_checked,
        audit_checks=len(CHECKS),
        audit_findings=len(committed.findings),
        chaos=chaos,
        day=day_figures(created, run.speed),
        errors=errors,
        error_texts=tuple(book.troubles.texts[:TEXTS_MAX]),
        violation_count=len(violations) + finished.violation_count,
        violations=tuple((violations + list(finished.violations))[:TEXTS_MAX]),
        seed=run.seed,
        speed=run.speed,
        wall_seconds=round(run.wall_seconds, 1),
    )


def day_figures(orders: Sequence[OrderStory], speed: float) -> DayFigures:
    """click to door: placed → delivered. ready to pick-up: ready → left the counter."""
    minutes = speed / 60
    delivered = [o for o in orders if o.delivered_at is not None]
    return DayFigures(
        delivered_share=round(len(delivered) / len(orders), 4) if orders else None,
        click_to_door_minutes=percentiles(
            (o.delivered_at - o.intended_at) * minutes for o in delivered if o.delivered_at
        ),
        ready_to_pickup_minutes=percentiles(
            (o.picked_up_at - o.ready_at) * minutes for o in delivered if o.picked_up_at
        ),
    )


def _chaos_figures(run: RunFacts) -> ChaosFigures | None:
    convergence = run.convergence
    if convergence is None:
        return None
    lagging = tuple(f"{client} {why}" for client, why in convergence.lagging.items())
    seconds = percentiles(convergence.seconds.values())
    return ChaosFigures(
        server_kills=run.server_kills,
        database_kills=run.database_kills,
        clients=len(convergence.seconds.keys() | convergence.lagging.keys()),
        converge_seconds=None if lagging else seconds.max,
        convergence_seconds=seconds,
        lagging=lagging[:TEXTS_MAX],
    )


def _late(chaos: ChaosFigures | None) -> list[str]:
    """I8."""
    if chaos is None:
        return []
    late = [f"never in step again after the last kill: {text}" for text in chaos.lagging]
    slowest = chaos.convergence_seconds.max
    if slowest is not None and slowest > CONVERGED_SECONDS_MAX:
        late.append(f"a client was in step only {slowest:.1f} s after the last kill")
    return late


def _violations(
    book: Book,
    finished: Finished,
    committed: Committed,
    doubles: list[str],
    still_open: list[OpenOrder],
    holes: int,
    chaos: ChaosFigures | None,
) -> list[str]:
    return [
        *_late(chaos),
        *committed.lost_answers,
        *doubles,
        *cross_check.unbacked_wins(finished, committed),
        *cross_check.delivered_apart(finished, committed, book),
        *cross_check.misled_shops(committed, book),
        *cross_check.page_findings(committed, book),
        *([f"{holes} tracking facts never reached their page"] if holes else []),
        *(f"{o.external_delivery_id} {o.status}: {o.why}" for o in still_open if not o.legal),
        *(f"audit {f.check} in {f.market_id}: {f.row}" for f in committed.findings),
    ]
