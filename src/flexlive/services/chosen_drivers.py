"""Whether a driver an operator has chosen can take the work: the same rules as for an accept, but for having declined
it and for the pilot it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from flexlive.domain.eligibility import Ineligible, Reason, eligible
from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.services.offers import driver_state
from flexlive.storage import drivers
from flexlive.storage.command_results import CommandKey
from flexlive.storage.pool import Connection, Record


@dataclass(frozen=True, slots=True)
class Load:
    """What must fit in the car; grams."""

    offer_type: str
    package_count: int
    weight_grams: int
    must_be_upright: bool
    pilots: frozenset[UUID] = field(default_factory=frozenset[UUID])

    @staticmethod
    def of(terms: Sequence[Record]) -> Load:
        """Of rows of storage.assignments.terms, at least one."""
        return Load(
            offer_type=terms[0]["offer_type"],
            package_count=sum(row["package_count"] for row in terms),
            weight_grams=sum(row["weight_grams"] for row in terms),
            must_be_upright=any(row["must_be_upright"] for row in terms),
        )


async def choose(conn: Connection, market_id: str, driver_id: UUID, load: Load) -> int:
    """The slot for another route of this driver, whose row the caller holds.

    FlexliveError: not_found (no such driver), slots_full, not_eligible (with the reason).
    """
    # Asked as for an accept; there is no command and no offer behind it.
    ask = (CommandKey(driver_id, "-", "-"), driver_id)
    standing = await drivers.standing(conn, market_id, [ask])
    if not standing:
        raise FlexliveError(ErrorCode.NOT_FOUND, "no such driver")
    verdict = eligible(load, driver_state(standing[0], frozenset()))
    if isinstance(verdict, Ineligible):
        if verdict.reason is Reason.SLOTS_FULL:
            raise FlexliveError(ErrorCode.SLOTS_FULL)
        raise FlexliveError(ErrorCode.NOT_ELIGIBLE, f"the driver is not eligible: {verdict.reason.value}",
                            reason=verdict.reason.value)  # fmt: skip
    return verdict.slot
