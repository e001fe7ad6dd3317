"""`broadcast`: the baseline. A fixed disk of cells around the site, first accept, nothing learnt."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from flexlive.domain.allocation.audience import Audience
from flexlive.domain.allocation.bundles import bundles
from flexlive.domain.allocation.types import Decision, DriverView, History, OpenOfferView, PendingDelivery
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
    """Opens every waiting bundle at broadcast_rings and never widens."""
    decisions, live = endings(now, open_offers)
    audience = Audience(now, policy, drivers)
    for offer in live:
        audience.show(offer.cells)
    waiting = openable(now, policy, pending, open_offers, history)
    for bundle in bundles(now, policy, waiting, drivers, history):
        refused_by = refusals(bundle.delivery_ids, history)
        rings = policy.broadcast_rings
        reach = audience.reach(
            bundle, bundle.site, bundle.site_cell, ring_min=rings, ring_max=rings, refused_by=refused_by
        )
        audience.show(reach.cells)
        decisions.append(opening(now, policy, bundle, reach, refused_by, widen_at=None))
    return decisions
