"""`staged`: as few rings of cells as make an accept likely; more when nobody came."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from flexlive.domain.allocation.audience import Audience, Reach
from flexlive.domain.allocation.bundles import Bundle, bundles
from flexlive.domain.allocation.types import Decision, DriverView, History, Open, OpenOfferView, PendingDelivery, Widen
from flexlive.domain.allocation.waiting import endings, openable, opening, refusals
from flexlive.domain.markets import MarketPolicy


def decide(
    now: datetime,
    seed: int,  # noqa: ARG001 – every policy has one signature; this one leaves nothing to chance
    policy: MarketPolicy,
    pending: Sequence[PendingDelivery],
    open_offers: Sequence[OpenOfferView],
    drivers: Sequence[DriverView],
    history: History,
) -> list[Decision]:
    """An offer opens with the rings that make an accept likely enough (expected_accept_target), or all of them. While
    that is not so any more – drivers left, declined, or took something else – it widens every ring_widen_seconds.
    What nobody wanted starts one ring further out than it ended."""
    decisions, live = endings(now, open_offers)
    audience = Audience(now, policy, drivers)
    for offer in live:
        audience.show(offer.cells)
    for offer in live:
        widened = _widened(now, policy, offer, audience, history)
        if widened is not None:
            audience.show(widened.cells_added)
            decisions.append(widened)
    waiting = openable(now, policy, pending, open_offers, history)
    for bundle in bundles(now, policy, waiting, drivers, history):
        opened = _opened(now, policy, bundle, audience, history)
        audience.show(opened.cells)
        decisions.append(opened)
    return decisions


def _opened(now: datetime, policy: MarketPolicy, bundle: Bundle, audience: Audience, history: History) -> Open:
    past = [history[each].last_ring + 1 for each in bundle.delivery_ids if each in history]
    refused_by = refusals(bundle.delivery_ids, history)
    reach = audience.reach(
        bundle,
        bundle.site,
        bundle.site_cell,
        ring_min=min(max(past, default=0), policy.rings_max),
        ring_max=policy.rings_max,
        refused_by=refused_by,
    )
    return opening(now, policy, bundle, reach, refused_by, widen_at=_next_widening(now, policy, reach))


def _widened(
    now: datetime, policy: MarketPolicy, offer: OpenOfferView, audience: Audience, history: History
) -> Widen | None:
    if offer.widen_at is None or now < offer.widen_at or offer.ring >= policy.rings_max:
        return None
    refused_by = refusals(offer.delivery_ids, history) | offer.declined_by
    shown = frozenset(offer.cells)
    if audience.expected(offer, offer.site, shown, refused_by) >= policy.expected_accept_target:
        return None
    reach = audience.reach(
        offer,
        offer.site,
        offer.site_cell,
        ring_min=offer.ring + 1,
        ring_max=policy.rings_max,
        refused_by=refused_by,
        shown=shown,
    )
    return Widen(
        offer_id=offer.offer_id,
        ring=reach.ring,
        cells=tuple(sorted(shown.union(reach.cells))),
        cells_added=tuple(cell for cell in reach.cells if cell not in shown),
        widen_at=_next_widening(now, policy, reach),
        audience=reach.audience,
        expected_accepts=reach.expected_accepts,
    )


def _next_widening(now: datetime, policy: MarketPolicy, reach: Reach) -> datetime | None:
    return now + timedelta(seconds=policy.ring_widen_seconds) if reach.ring < policy.rings_max else None
