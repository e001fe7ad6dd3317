"""An offer's life as a table, and who wins it: decided one accept at a time or in batches, in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias
from uuid import UUID

from flexlive.domain.actors import ActorType
from flexlive.domain.drivers import DriverState as DriverState
from flexlive.domain.eligibility import Ineligible, Reason, eligible
from flexlive.domain.errors import CATALOGUE, ErrorCode


class OfferStatus(StrEnum):
    SCHEDULED = "scheduled"
    OPEN = "open"
    ACCEPTED = "accepted"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    FORFEITED = "forfeited"
    COMPLETED = "completed"


class OfferShape(StrEnum):
    ON_DEMAND = "on_demand"
    WAVE = "wave"
    BLOCK = "block"


class OfferRule(StrEnum):
    EXCLUSIVE = "exclusive"
    FIRST = "first"
    BEST = "best"
    FAIR_WINDOW = "fair_window"


class OfferRow(NamedTuple):
    from_status: OfferStatus
    to_status: OfferStatus
    actors: frozenset[ActorType]


_S, _A = OfferStatus, ActorType
_STOPPERS: Final = frozenset({_A.SYSTEM, _A.OPS, _A.MERCHANT, _A.STORE})
OFFER_TRANSITIONS: Final[tuple[OfferRow, ...]] = (
    OfferRow(_S.SCHEDULED, _S.OPEN, frozenset({_A.SYSTEM, _A.OPS})),
    OfferRow(_S.SCHEDULED, _S.WITHDRAWN, _STOPPERS),
    OfferRow(_S.OPEN, _S.ACCEPTED, frozenset({_A.DRIVER})),
    OfferRow(_S.OPEN, _S.EXPIRED, frozenset({_A.SYSTEM})),
    OfferRow(_S.OPEN, _S.WITHDRAWN, _STOPPERS),
    OfferRow(_S.ACCEPTED, _S.FORFEITED, frozenset({_A.DRIVER, _A.SYSTEM, _A.OPS})),
    # Also by whoever cancels the last order of it.
    OfferRow(_S.ACCEPTED, _S.COMPLETED, _STOPPERS | {_A.DRIVER}),
)
OFFER_TERMINAL: Final = frozenset({_S.EXPIRED, _S.WITHDRAWN, _S.FORFEITED, _S.COMPLETED})


def offer_sources(to_status: OfferStatus) -> frozenset[OfferStatus]:
    """From where a status may be entered, for `status = ANY(...)`."""
    return frozenset(row.from_status for row in OFFER_TRANSITIONS if row.to_status is to_status)


@dataclass(frozen=True, slots=True)
class OfferState:
    """What an accept reads of an offer.

    driver_id: who accepted it, if anyone. terms_since_version: the lowest version with today's pay and work; an
    accept of any version since then is of the same terms (widening raises the version and changes no terms)."""

    offer_id: UUID
    status: OfferStatus
    version: int
    valid_until: datetime
    offer_type: str
    driver_id: UUID | None = None
    cells: frozenset[int] = frozenset()
    package_count: int = 1
    weight_grams: int = 0
    must_be_upright: bool = False
    terms_since_version: int = 1
    pilots: frozenset[UUID] = frozenset()


@dataclass(frozen=True, slots=True)
class AcceptRequest:
    """offer_version: the version on the driver's screen; None does not ask."""

    offer_id: UUID
    driver_id: UUID
    offer_version: int | None = None


@dataclass(frozen=True, slots=True)
class Won:
    slot: int


@dataclass(frozen=True, slots=True)
class AlreadyWon:
    pass


@dataclass(frozen=True, slots=True)
class Taken:
    pass


@dataclass(frozen=True, slots=True)
class Expired:
    pass


@dataclass(frozen=True, slots=True)
class Withdrawn:
    pass


@dataclass(frozen=True, slots=True)
class NotFound:
    pass


@dataclass(frozen=True, slots=True)
class Conflict:
    """The terms have changed since the version the driver saw; current is the version to look at."""

    current: int


@dataclass(frozen=True, slots=True)
class NotEligible:
    reason: Reason


Outcome: TypeAlias = Won | AlreadyWon | Taken | Expired | Withdrawn | NotFound | Conflict | NotEligible

_ERRORS: Final[Mapping[type, ErrorCode]] = {
    Taken: ErrorCode.TAKEN,
    Expired: ErrorCode.EXPIRED,
    Withdrawn: ErrorCode.WITHDRAWN,
    NotFound: ErrorCode.NOT_FOUND,
    Conflict: ErrorCode.CONFLICT,
    NotEligible: ErrorCode.NOT_ELIGIBLE,
}


def result_code(outcome: Outcome) -> str:
    """What the driver's `result` frame says."""
    if isinstance(outcome, Won | AlreadyWon):
        return "won"
    code = CATALOGUE[_ERRORS[type(outcome)]].result_code
    assert code is not None
    return code


def decide_accept(
    offer: OfferState | None, driver: DriverState, db_now: datetime, *, offer_version: int | None = None
) -> Outcome:
    """Whether this driver wins this offer now.

    db_now: the database's clock read after both rows were locked; valid_until itself is still in time."""
    if offer is None or offer.status is OfferStatus.SCHEDULED:
        return NotFound()
    settled = _settled(offer, driver)
    if settled is not None:
        return settled
    if db_now > offer.valid_until:
        return Expired()
    if offer_version is not None and not offer.terms_since_version <= offer_version <= offer.version:
        return Conflict(offer.version)
    verdict = eligible(offer, driver, declined=offer.offer_id in driver.declined)
    return NotEligible(verdict.reason) if isinstance(verdict, Ineligible) else Won(verdict.slot)


def decide_batch(
    requests: Sequence[AcceptRequest],
    offers: Mapping[UUID, OfferState],
    drivers: Mapping[UUID, DriverState],
    db_now: datetime,
) -> list[Outcome]:
    """One outcome per request, in order; each sees what those before it won. Unknown offer or driver: NotFound."""
    offers_now, drivers_now = dict(offers), dict(drivers)
    outcomes: list[Outcome] = []
    for request in requests:
        offer, driver = offers_now.get(request.offer_id), drivers_now.get(request.driver_id)
        if driver is None:
            outcomes.append(NotFound())
            continue
        outcome = decide_accept(offer, driver, db_now, offer_version=request.offer_version)
        outcomes.append(outcome)
        if isinstance(outcome, Won) and offer is not None:
            offers_now[offer.offer_id] = replace(offer, status=OfferStatus.ACCEPTED, driver_id=driver.driver_id)
            drivers_now[driver.driver_id] = replace(driver, slots_used=driver.slots_used | {outcome.slot})
    return outcomes


def _settled(offer: OfferState, driver: DriverState) -> Outcome | None:
    match offer.status:
        case OfferStatus.ACCEPTED | OfferStatus.COMPLETED:
            return AlreadyWon() if offer.driver_id == driver.driver_id else Taken()
        case OfferStatus.FORFEITED:
            return Taken()
        case OfferStatus.EXPIRED:
            return Expired()
        case OfferStatus.WITHDRAWN:
            return Withdrawn()
        case OfferStatus.SCHEDULED | OfferStatus.OPEN:
            return None
