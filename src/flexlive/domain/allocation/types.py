"""What every dispatch policy is given and what it answers: values in, values out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypeAlias
from uuid import UUID

from flexlive.domain.drivers import DriverState
from flexlive.domain.geography import Point
from flexlive.domain.markets import MarketPolicy
from flexlive.domain.offers import OfferRule, OfferShape, OfferStatus


@dataclass(frozen=True, slots=True)
class PendingDelivery:
    """A delivery in status `created`. site_cell: the site's entrance at the market's offer_resolution.
    pickup_deadline_at: after it no offer is opened. door, dropoff_deadline_at: None when not known."""

    delivery_id: UUID
    site_id: UUID
    site: Point
    site_cell: int
    offer_type: str
    created_at: datetime
    pickup_ready_at: datetime
    pickup_deadline_at: datetime
    package_count: int = 1
    weight_grams: int = 0
    must_be_upright: bool = False
    shape: OfferShape = OfferShape.ON_DEMAND
    door: Point | None = None
    dropoff_deadline_at: datetime | None = None
    pilots: frozenset[UUID] = frozenset()


@dataclass(frozen=True, slots=True)
class DriverView:
    """A driver as the dispatcher sees one. cell: the position's at the market's offer_resolution.
    free_at: when the last route ends, None when idle. acceptance: learnt share of offers accepted at the door of the
    site, None before anything was learnt."""

    state: DriverState
    point: Point
    cell: int
    positioned_at: datetime
    free_at: datetime | None = None
    acceptance: float | None = None

    @property
    def driver_id(self) -> UUID:
        return self.state.driver_id


@dataclass(frozen=True, slots=True)
class OpenOfferView:
    """An offer in status `open`.

    cells: every cell it was shown in so far. widen_at: not before then, None when it is not to be widened.
    declined_by: drivers who declined this offer. withdraw_reason: set by whoever knows that it should not stand
    any more."""

    offer_id: UUID
    delivery_ids: tuple[UUID, ...]
    site: Point
    site_cell: int
    ring: int
    cells: tuple[int, ...]
    opened_at: datetime
    widen_at: datetime | None
    valid_until: datetime
    offer_type: str
    package_count: int = 1
    weight_grams: int = 0
    must_be_upright: bool = False
    declined_by: frozenset[UUID] = frozenset()
    pilots: frozenset[UUID] = frozenset()
    withdraw_reason: str | None = None


@dataclass(frozen=True, slots=True)
class DeliveryHistory:
    """What became of a delivery's earlier offers. refused_by: drivers who declined or forfeited it.
    last_deliveries: how many deliveries the last of these offers held."""

    offers: int
    last_ring: int
    last_ended_at: datetime
    last_status: OfferStatus
    refused_by: frozenset[UUID] = frozenset()
    last_deliveries: int = 1


History: TypeAlias = Mapping[UUID, DeliveryHistory]


class Action(StrEnum):
    OPEN = "open"
    WIDEN = "widen"
    WITHDRAW = "withdraw"
    DRAW = "draw"
    EXPIRE = "expire"


@dataclass(frozen=True, slots=True)
class Open:
    """expected_accepts: 1 − Π(1 − pᵢ) over the audience. excluded: drivers who refused these deliveries before and
    are not to be shown them again."""

    delivery_ids: tuple[UUID, ...]
    site_id: UUID
    offer_type: str
    shape: OfferShape
    rule: OfferRule
    ring: int
    cells: tuple[int, ...]
    valid_until: datetime
    widen_at: datetime | None
    audience: int
    expected_accepts: float
    excluded: frozenset[UUID] = field(default_factory=frozenset[UUID])


@dataclass(frozen=True, slots=True)
class Widen:
    """cells: all from now on, those before included."""

    offer_id: UUID
    ring: int
    cells: tuple[int, ...]
    cells_added: tuple[int, ...]
    widen_at: datetime | None
    audience: int
    expected_accepts: float


@dataclass(frozen=True, slots=True)
class Withdraw:
    offer_id: UUID
    reason: str


@dataclass(frozen=True, slots=True)
class Draw:
    """Name the winner among those who entered; for rules other than `first`."""

    offer_id: UUID


@dataclass(frozen=True, slots=True)
class Expire:
    offer_id: UUID


Decision: TypeAlias = Open | Widen | Withdraw | Draw | Expire


class Policy(Protocol):
    """Pure: the same arguments give the same decisions. seed: the only source of chance."""

    def __call__(
        self,
        now: datetime,
        seed: int,
        policy: MarketPolicy,
        pending: Sequence[PendingDelivery],
        open_offers: Sequence[OpenOfferView],
        drivers: Sequence[DriverView],
        history: History,
    ) -> list[Decision]: ...
