"""kill -9 at random moments of a play: to the server, to PostgreSQL, to both as a machine loses them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from flexlive.lab.options import DemoError
from flexlive.lab.server_process import ServerProcess
from flexlive.storage.embedded import EmbeddedPostgres

SERVER_KILLS_MIN = 3
DATABASE_KILLS_MIN = 2
SECONDS_PER_SERVER_KILL = 40.0
SECONDS_PER_DATABASE_KILL = 60.0
# The first strike waits for something to lose; after the last one the play goes on without.
FIRST_SHARE = 0.05
LAST_SHARE = 0.9
# For so long after PostgreSQL went, a server that finds none may end by itself.
OUTAGE_SECONDS_MAX = 20.0


class Victim(StrEnum):
    SERVER = "the server"
    DATABASE = "PostgreSQL"
    MACHINE = "the server and PostgreSQL"


@dataclass(frozen=True, slots=True)
class Strike:
    """at_seconds: wall seconds after the start of ordering. down_seconds: until it is started again."""

    at_seconds: float
    victim: Victim
    down_seconds: float


def plan_strikes(seconds: float, seed: int) -> list[Strike]:
    """Strikes over a phase of so many seconds, at least 3 of the server and 2 of PostgreSQL, one of them of both.

    The same arguments give the same moments.
    """
    random = Random(f"{seed} chaos")
    servers = max(SERVER_KILLS_MIN, round(seconds / SECONDS_PER_SERVER_KILL))
    databases = max(DATABASE_KILLS_MIN, round(seconds / SECONDS_PER_DATABASE_KILL))
    victims = [Victim.SERVER] * (servers - 1) + [Victim.DATABASE] * (databases - 1) + [Victim.MACHINE]
    random.shuffle(victims)
    moments = sorted(random.uniform(FIRST_SHARE * seconds, LAST_SHARE * seconds) for _ in victims)
    return [Strike(at, victim, random.uniform(0.0, 2.0)) for at, victim in zip(moments, victims, strict=True)]


@dataclass(slots=True)
class Chaos:
    """Carries a plan out; counts what it did. last_strike_at: Unix seconds of the last kill, None before the first."""

    server: ServerProcess
    postgres: EmbeddedPostgres
    tell: Callable[[str], None]
    server_kills: int = 0
    database_kills: int = 0
    last_strike_at: float | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)
    _database_down_at: float | None = None

    def __post_init__(self) -> None:
        self.server.excused = self._database_away

    async def run(self, strikes: list[Strike], begin_at: float) -> None:
        """All strikes, each at its moment or, if the one before took longer, right after it. begin_at: Unix seconds.

        Raises DemoError when PostgreSQL does not come back.
        """
        for strike in strikes:
            await asyncio.sleep(max(0.0, begin_at + strike.at_seconds - time.time()))
            await self._strike(strike)
        self.done.set()

    async def _strike(self, strike: Strike) -> None:
        self.tell(f"[bold red]kill -9[/] of {strike.victim.value}")
        if strike.victim is not Victim.SERVER:
            self._database_down_at = time.monotonic()
            await self.postgres.crash()
            self.database_kills += 1
        if strike.victim is not Victim.DATABASE:
            await self.server.kill()
            self.server_kills += 1
        self.last_strike_at = time.time()
        await asyncio.sleep(strike.down_seconds)
        # A machine that boots starts both at once; a server that comes first finds no database and is started again.
        if strike.victim is not Victim.DATABASE:
            await self.server.start()
        if strike.victim is not Victim.SERVER:
            await self.postgres.start()
            if not self.postgres.running:
                raise DemoError("PostgreSQL did not survive its own restart")

    def _database_away(self) -> bool:
        down_at = self._database_down_at
        return down_at is not None and time.monotonic() - down_at < OUTAGE_SECONDS_MAX
