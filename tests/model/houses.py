"""The database and the markets in which all runs of a module are played."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import uuid4

import asyncpg
import uvloop

from flexlive.services.context import Context
from flexlive.storage import audit
from tests.conftest import with_database
from tests.model import money
from tests.model.lanes import POLICIES, Lane, open_lane
from tests.model.run import Run
from tests.support.world import open_test_context

LANES = len(POLICIES)
"""Runs that go on beside each other, each in a market of its own."""

ANALYZED_AT = frozenset(LANES * rounds for rounds in (5, 20, 60))
"""After so many runs the planner is told how large the tables have become; a server does that by itself in a while."""


@dataclass
class House:
    """lanes: markets in use; one in which a run failed is not used again. runs: played to the end."""

    runner: asyncio.Runner
    ctx: Context
    lanes: dict[int, Lane] = field(default_factory=dict)
    runs: int = 0

    def play(self, plays: Sequence[Callable[[Run], Awaitable[None]]]) -> None:
        """At most LANES runs, beside each other; what the first failed one raised, with everything it did."""
        assert len(plays) <= LANES
        self.runner.run(self._play(plays))

    def audit(self) -> list[audit.Finding]:
        return self.runner.run(self._audit())

    async def _play(self, plays: Sequence[Callable[[Run], Awaitable[None]]]) -> None:
        for place in range(len(plays)):
            if place not in self.lanes:
                self.lanes[place] = await open_lane(self.ctx, place)
        done = await asyncio.gather(*(self._one(i, play) for i, play in enumerate(plays)), return_exceptions=True)
        for failed in done:
            if isinstance(failed, BaseException):
                raise failed
        self.runs += len(plays)
        if self.runs in ANALYZED_AT:
            await self.ctx.pool.execute("analyze")

    async def _one(self, place: int, play: Callable[[Run], Awaitable[None]]) -> None:
        run = Run(self.ctx, self.lanes[place])
        try:
            await play(run)
            money.check(run)
        except BaseException as error:
            del self.lanes[place]
            error.add_note("\n".join(run.log))
            raise

    async def _audit(self) -> list[audit.Finding]:
        async with self.ctx.pool.acquire() as conn:
            return [each for lane in self.lanes.values() for each in await audit.findings(conn, lane.market_id)]


@contextmanager
def open_house(dsn: str, template: str) -> Iterator[House]:
    """On a database of its own that goes away afterwards."""
    name = f"flexlive_model_{uuid4().hex}"
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_admin(dsn, f'create database "{name}" template "{template}"'))
        context = open_test_context(with_database(dsn, name))
        yield House(runner, runner.run(context.__aenter__()))
        runner.run(context.__aexit__(None, None, None))
        runner.run(_admin(dsn, f'drop database "{name}" with (force)'))


async def _admin(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
