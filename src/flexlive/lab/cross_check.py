"""Compares what clients saw with what is committed. Pure: rows and books in, broken promises out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from flexlive.domain.deliveries import TERMINAL
from flexlive.lab.acknowledged import shops_misled
from flexlive.lab.book import Book, OrderStory
from flexlive.lab.fleet_messages import Finished
from flexlive.storage.audit import DeliveryStanding, Finding


@dataclass(frozen=True, slots=True)
class Committed:
    """The database at the end. wins: offer → driver, for the drivers of this run only.

    lost_answers: what phones were answered and is not stored like that.
    """

    standings: Sequence[DeliveryStanding]
    wins: Mapping[UUID, UUID]
    findings: Sequence[Finding]
    lost_answers: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An order that is not finished. legal: something will still move it, or nobody has taken it yet."""

    external_delivery_id: str
    status: str
    why: str
    legal: bool


def double_accepts(finished: Finished) -> list[str]:
    """I1 from the phones: more than one of them said `won` for the same offer."""
    return [
        f"offer {offer_id} was won by {len(drivers)} drivers: {', '.join(map(str, sorted(drivers)))}"
        for offer_id, winners in finished.wins.items()
        # One driver may hear of the same win twice: another device, a second tap.
        if len(drivers := set(winners)) > 1
    ]


def unbacked_wins(finished: Finished, committed: Committed) -> list[str]:
    """I5 both ways: a win on a phone is a committed row, and a committed row reached its phone."""
    broken = [
        f"offer {offer_id}: phone of {driver} says won, the database says {committed.wins.get(offer_id)}"
        for offer_id, drivers in finished.wins.items()
        for driver in drivers
        if committed.wins.get(offer_id) != driver
    ]
    unheard = committed.wins.keys() - finished.wins.keys()
    return broken + [
        f"offer {offer_id} belongs to {committed.wins[offer_id]}, whose phone never said so" for offer_id in unheard
    ]


def delivered_apart(finished: Finished, committed: Committed, book: Book) -> list[str]:
    """What drivers delivered is what is stored as delivered, each once."""
    on_phones = Counter(finished.delivered)
    stored = {s.external_delivery_id for s in committed.standings if s.status == "delivered"} & book.orders.keys()
    broken = [f"{name} was delivered {times} times" for name, times in on_phones.items() if times > 1]
    broken += [
        f"{name} was delivered by a phone, but not in the database" for name in sorted(on_phones.keys() - stored)
    ]
    return broken + [
        f"{name} is stored as delivered, but no phone did it" for name in sorted(stored - on_phones.keys())
    ]


def misled_shops(committed: Committed, book: Book) -> list[str]:
    """What shops were told is recorded, is."""
    return shops_misled(book.created, {s.external_delivery_id: s for s in committed.standings})


def page_findings(committed: Committed, book: Book) -> list[str]:
    """Every tracking page ends where the database stands, and broke no rule on the way."""
    broken: list[str] = []
    for standing, order in _ours(committed, book):
        if order.page is None or order.page.seq is None:
            broken.append(f"tracking page of {order.external_delivery_id} never opened")
            continue
        broken += order.page.violations
        if order.page.cut:
            if not standing.link_revoked:
                broken.append(f"tracking page of {order.page.name} was ended at {order.page.status}")
            continue
        if order.page.status != standing.status and not order.page.missing(standing.track_seq):
            broken.append(f"tracking page of {order.page.name} shows {order.page.status}, stored is {standing.status}")
    return broken


def tracking_holes(committed: Committed, book: Book) -> int:
    """Tracking facts that are committed and that the page neither got nor was told in a state."""
    holes = 0
    for standing, order in _ours(committed, book):
        # A revoked link tells nothing more, and must not.
        if order.page is not None and order.page.cut and standing.link_revoked:
            continue
        holes += standing.track_seq if order.page is None else order.page.holes + order.page.missing(standing.track_seq)
    return holes


def outcomes(committed: Committed, book: Book) -> dict[str, int]:
    """How many orders ended, or stand, where; with the reason where there is one: `cancelled: no_driver_found`."""
    counted = Counter(
        s.status if s.reason_code is None else f"{s.status}: {s.reason_code}" for s, _ in _ours(committed, book)
    )
    return dict(counted.most_common())


def open_orders(committed: Committed, book: Book) -> list[OpenOrder]:
    """Orders that are not terminal, and why."""
    return [_explain(standing) for standing, _ in _ours(committed, book) if standing.status not in TERMINAL]


def _explain(standing: DeliveryStanding) -> OpenOrder:
    name, status = standing.external_delivery_id, standing.status
    if status == "created":
        live = standing.offer_status in ("open", "scheduled")
        why = "on offer, not taken yet" if live else "waiting to be offered again"
        return OpenOrder(name, status, why, legal=True)
    if standing.route_status == "active":
        return OpenOrder(name, status, f"with driver {standing.driver_id}, route active", legal=True)
    return OpenOrder(name, status, f"no active route ({standing.route_status}): nobody will move it", legal=False)


def _ours(committed: Committed, book: Book) -> list[tuple[DeliveryStanding, OrderStory]]:
    return [
        (s, order)
        for s in committed.standings
        if (order := book.orders.get(s.external_delivery_id)) is not None and order.created
    ]
