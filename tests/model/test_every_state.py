"""No status is a trap: from every one of them, whoever is gone, the others bring the delivery to an end."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from uuid import UUID

import pytest

from flexlive.domain.actors import ActorType
from flexlive.domain.deliveries import TERMINAL
from flexlive.domain.deliveries import DeliveryStatus as S
from flexlive.protocol import driver as wire
from tests.model import driver_moves, staff_moves
from tests.model.endings import finish
from tests.model.houses import LANES, House, open_house
from tests.model.run import Plan, Run

STEPS_MAX = 20
NOT_ENDED = [status for status in S if status not in TERMINAL]
ABSENT = [None, *ActorType]


@pytest.fixture(scope="module")
def house(postgres_dsn: str, database_template: str) -> Iterator[House]:
    with open_house(postgres_dsn, database_template) as opened:
        yield opened


async def reach(run: Run, status: S) -> None:
    """The driver does what is next until a delivery is where it is wanted."""
    for _ in range(STEPS_MAX):
        there = [each["status"] for each in run.now.deliveries.values()]
        if status in there:
            return
        held = [each["driver_id"] for each in run.open() if each["driver_id"] is not None]
        place = run.place_of(held[0]) if held else 0
        if not held:
            await staff_moves.offer(run)
            await driver_moves.accept(run, place)
        elif S.CONFIRMED in there and status is S.ENROUTE_TO_PICKUP:
            site = next(stop for stop in run.now.stops() if stop["kind"] == "site")
            await run.driver(place, wire.Depart, stop_id=UUID(site["stop_id"]))
        elif S.ENROUTE_TO_DROPOFF in there and status in (S.UNDELIVERABLE, S.ENROUTE_TO_RETURN, S.ARRIVED_AT_RETURN):
            to_door = next(each for each in run.open() if each["status"] == S.ENROUTE_TO_DROPOFF)
            reason = "vehicle_problem" if status is S.UNDELIVERABLE else "customer_refused"
            await driver_moves.report(run, place, UUID(to_door["delivery_id"]), reason)
        else:
            await driver_moves.sensible(run, place)
    raise AssertionError(f"{status} was not reached")


async def come_to_an_end(run: Run, status: S, gone: ActorType | None) -> None:
    # Alone on its route a delivery goes from the counter to its own leg at once: `picked_up` takes two.
    orders = 2 if status is S.PICKED_UP else 1
    plan = Plan(store=0, packages=1, pincode=True, photo=True, undeliverable_action="return_to_pickup")
    await run.start([plan] * orders)
    if status is not S.CREATED:
        await reach(run, status)
    await finish(run, gone)


@pytest.mark.parametrize("status", NOT_ENDED)
def test_whoever_is_gone(house: House, status: S) -> None:
    plays = [partial(come_to_an_end, status=status, gone=gone) for gone in ABSENT]
    for start in range(0, len(plays), LANES):
        house.play(plays[start : start + LANES])


def test_and_the_books_are_in_order(house: House) -> None:
    assert house.runs == len(NOT_ENDED) * len(ABSENT)
    assert house.audit() == []
