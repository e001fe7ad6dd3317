"""What every policy does alike: end what has run out, and find the deliveries that may get an offer now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from flexlive.domain.allocation.audience import Reach
from flexlive.domain.allocation.bundles import Bundle
from flexlive.domain.allocation.types import Decision, Expire, History, Open, OpenOfferView, PendingDelivery, Withdraw
from flexlive.domain.markets import MarketPolicy
from flexlive.domain.offers import OfferRule, OfferStatus

OPENED_PER_TICK_MAX: Final = 100
"""The rest waits for the next tick, so that one tick stays one short transaction."""


def endings(now: datetime, open_offers: Iterable[OpenOfferView]) -> tuple[list[Decision], list[OpenOfferView]]:
    """(offers to expire or withdraw, offers that go on)."""
    ended: list[Decision] = []
    live: list[OpenOfferView] = []
    for offer in open_offers:
        if offer.withdraw_reason is not None:
            ended.append(Withdraw(offer.offer_id, offer.withdraw_reason))
        elif now > offer.valid_until:
            ended.append(Expire(offer.offer_id))
        else:
            live.append(offer)
    return ended, live


def openable(
    now: datetime,
    policy: MarketPolicy,
    pending: Iterable[PendingDelivery],
    open_offers: Sequence[OpenOfferView],
    history: History,
) -> list[PendingDelivery]:
    """Deliveries without an offer that may have one, the most urgent first, ≤ OPENED_PER_TICK_MAX.

    One whose offer ends in this very tick still counts as offered: it comes back once that has happened."""
    offered = {delivery_id for offer in open_offers for delivery_id in offer.delivery_ids}
    ready = {
        each.delivery_id: each
        for each in pending
        if each.delivery_id not in offered and _due(now, policy, each, history)
    }
    return sorted(ready.values(), key=_urgency)[:OPENED_PER_TICK_MAX]


def refusals(delivery_ids: Iterable[UUID], history: History) -> frozenset[UUID]:
    """Drivers who refused any of these deliveries before."""
    return frozenset(
        driver_id
        for delivery_id in delivery_ids
        if (past := history.get(delivery_id)) is not None
        for driver_id in past.refused_by
    )


def opening(
    now: datetime,
    policy: MarketPolicy,
    bundle: Bundle,
    reach: Reach,
    refused_by: frozenset[UUID],
    *,
    widen_at: datetime | None,
) -> Open:
    """The offer of one bundle, shown within reach; never valid past a pickup deadline."""
    return Open(
        delivery_ids=bundle.delivery_ids,
        site_id=bundle.site_id,
        offer_type=bundle.offer_type,
        shape=bundle.shape,
        rule=OfferRule.FIRST,
        ring=reach.ring,
        cells=reach.cells,
        valid_until=min(now + timedelta(seconds=policy.offer_ttl_seconds), bundle.pickup_deadline_at),
        widen_at=widen_at,
        audience=reach.audience,
        expected_accepts=reach.expected_accepts,
        excluded=refused_by,
    )


def _due(now: datetime, policy: MarketPolicy, delivery: PendingDelivery, history: History) -> bool:
    lead = timedelta(seconds=policy.offer_lead_seconds)
    if delivery.pickup_deadline_at <= now or delivery.pickup_ready_at - lead > now:
        return False
    past = history.get(delivery.delivery_id)
    # Given back by a driver: at once. Wanted by nobody: a moment later, when others have become free.
    if past is None or past.last_status is not OfferStatus.EXPIRED:
        return True
    return past.last_ended_at + timedelta(seconds=policy.reoffer_delay_seconds) <= now


def _urgency(delivery: PendingDelivery) -> tuple[datetime, datetime, str]:
    return delivery.pickup_ready_at, delivery.created_at, str(delivery.delivery_id)
