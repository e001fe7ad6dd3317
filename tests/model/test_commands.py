"""Random commands of everybody, legal and illegal, against the real database; the transition table is the model.

One run: one to three orders of a market, some twenty commands, the laws checked after each, then – with one of the
actors gone – everything brought to an end, the money counted, and at the end of all runs the audit.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from flexlive.domain.actors import ActorType
from tests.model import driver_moves, staff_moves
from tests.model.aimed_moves import aimed
from tests.model.endings import finish
from tests.model.hasty_moves import hasty
from tests.model.houses import LANES, House, open_house
from tests.model.run import Plan, Run

RUNS = 500


class Move(NamedTuple):
    who: str
    driver: int
    a: int
    b: int
    again: bool


class Drawn(NamedTuple):
    plans: list[Plan]
    head_start: int
    moves: list[Move]
    gone: ActorType | None


WHO = ("sensible",) * 10 + ("aimed",) * 7 + ("hasty",) * 6 + ("driver",) * 3 + ("ops",) * 2
WHO += ("system", "merchant", "customer", "repeat")
ACTIONS = ("return_to_pickup", "leave_at_door", "dispose")
GONE = (None, *ActorType)
MOVES_MAX = 14


def read(drawn: bytes) -> Drawn:
    """A run from its bytes; drawing each choice by itself would cost as much as playing it."""
    plans = [
        Plan(
            store=byte & 1,
            packages=1 + (byte >> 1 & 1),
            pincode=bool(byte & 4),
            photo=bool(byte & 8),
            undeliverable_action=ACTIONS[(byte >> 4) % 3],
        )
        for byte in drawn[3 : 4 + drawn[0] % 3]
    ]
    moves = [
        Move(WHO[who % len(WHO)], rest & 3 if rest & 12 else 0, rest >> 4 & 7, last & 7, last & 0x18 == 0)
        for who, rest, last in batched(drawn[6:], 3)
    ]
    return Drawn(plans, drawn[1] % 11, moves[: 4 + drawn[2] % (MOVES_MAX - 3)], GONE[drawn[2] // 16 % len(GONE)])


def batched(drawn: bytes, size: int) -> list[bytes]:
    return [drawn[start : start + size] for start in range(0, len(drawn), size)]


runs = st.binary(min_size=6 + 3 * MOVES_MAX, max_size=6 + 3 * MOVES_MAX).map(read)


async def play(run: Run, drawn: Drawn) -> None:
    await run.start(drawn.plans)
    await staff_moves.offer(run)
    for _ in range(drawn.head_start):
        await driver_moves.sensible(run, 0)
    for move in drawn.moves:
        await _move(run, move)
    await finish(run, drawn.gone)


async def _move(run: Run, move: Move) -> None:
    match move.who:
        case "sensible":
            if not await driver_moves.sensible(run, _driver(run, move), again=move.again):
                await staff_moves.offer(run)
        case "hasty":
            await hasty(run, _driver(run, move), move.b, again=move.again)
        case "aimed":
            await aimed(run, move.a, move.b, again=move.again)
        case "driver":
            kind = driver_moves.KINDS[(move.a * 8 + move.b) % len(driver_moves.KINDS)]
            await driver_moves.anything(run, move.driver, kind, move.a, move.b, again=move.again)
        case "ops":
            kind = staff_moves.OPS_KINDS[(move.a * 8 + move.b) % len(staff_moves.OPS_KINDS)]
            await staff_moves.ops(run, kind, move.a, move.b)
        case "merchant":
            await staff_moves.merchant(run, staff_moves.MERCHANT_KINDS[move.a % 3], move.a, move.b)
        case "customer":
            await staff_moves.customer(run, move.a, move.b)
        case "system":
            await staff_moves.system(run, staff_moves.SYSTEM_KINDS[move.b % 4], move.a)
        case _:
            if run.sent:
                await run.repeat(move.a * 8 + move.b)


def _driver(run: Run, move: Move) -> int:
    """The one whose turn it is with a delivery, or the one drawn."""
    held = [each["driver_id"] for each in run.open() if each["driver_id"] is not None]
    return run.place_of(held[move.a % len(held)]) if held and move.b else move.driver


@pytest.fixture(scope="module")
def house(postgres_dsn: str, database_template: str) -> Iterator[House]:
    with open_house(postgres_dsn, database_template) as opened:
        yield opened


# Without shrinking: playing a run again and again takes minutes, and its log says what happened.
@pytest.mark.timeout(600)
@settings(
    max_examples=RUNS // LANES,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.lists(runs, min_size=LANES, max_size=LANES))
def test_no_command_of_anybody_leaves_the_table(house: House, drawn: list[Drawn]) -> None:
    house.play([partial(play, drawn=each) for each in drawn])


def test_and_the_books_are_in_order(house: House) -> None:
    """After all of the runs above: nothing vanished, nothing was paid twice, no stream has a hole."""
    assert house.runs >= RUNS
    assert house.audit() == []
