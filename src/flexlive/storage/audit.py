"""Read-only questions whose answer must be "no rows", and the rows a client-side history is compared with."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg  # pyright: ignore[reportMissingTypeStubs]

from flexlive.domain.deliveries import CUSTODY_TRANSFERS, TRANSITIONS
from flexlive.storage import migrations
from flexlive.storage.errors import DatabaseSetupError
from flexlive.storage.pool import Connection, Executor, PoolOptions, Record, open_connection
from flexlive.storage.queries import Query, load

_sql = load("audit")

# An audit reads whole tables; the pool's ordinary command timeout is meant for single rows.
AUDIT_TIMEOUT_SECONDS: Final = 60.0
FINDINGS_MAX: Final = 20

_OPTIONS = PoolOptions(application_name="flexlive audit", command_timeout_seconds=AUDIT_TIMEOUT_SECONDS)

CHECKS: Final[Mapping[str, str]] = {
    "offers_with_several_routes": "I1: one driver per offer, ever",
    "offers_apart_from_routes": "I1: an offer's driver is its route's",
    "offers_of_what_is_not_theirs": "an offer names only what it holds",
    "statuses_off_the_table": "I2: every step is a row of the transition table",
    "statuses_apart_from_events": "I2: a status is what was told last",
    "packages_apart_from_deliveries": "I2: packages are where their delivery is",
    "packages_apart_from_offers": "I2: no package came or went since the offer",
    "deliveries_without_packages": "I2: no delivery without packages",
    "deliveries_apart_from_routes": "I2: one driver per delivery, on an active route until the end",
    "deliveries_without_a_stop": "no trap: an open stop ahead",
    "transfers_without_an_end": "a transfer has both its drivers",
    "streams_with_gaps": "I3: seq without gap",
    "counters_apart_from_streams": "I3: counters are the streams' last seq",
    "slots_apart_from_routes": "slots are held by active routes",
    "money_without_its_event": "I9: each row names what earned it",
    "money_apart_from_deliveries": "I9: what was quoted is what was earned",
    "money_apart_from_offers": "I9: a whole route earns its offer's base",
    "alerts_open_twice": "one open alert of a kind about a thing",
    "inboxes_past_their_counter": "inbox numbers are given once",
    "proofs_apart_from_uploads": "the announced picture is the one sent",
    "rings_for_what_was_taken": "no phone is rung for work that is another's",
}
"""Name of the query → the promise it holds the database to."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken invariant. check: name of the query; row: what it returned, as text."""

    check: str
    market_id: str
    row: str


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check over some markets. count: all findings; findings: the first FINDINGS_MAX of each market."""

    check: str
    promise: str
    count: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class AuditReport:
    """Of one consistent snapshot."""

    markets: tuple[str, ...]
    results: tuple[CheckResult, ...]

    @property
    def clean(self) -> bool:
        return not any(result.count for result in self.results)


@dataclass(frozen=True, slots=True)
class DeliveryStanding:
    """A delivery as stored; route and offer are its present ones, None when it has none.

    link_revoked: its tracking links were ended before it was.
    """

    market_id: str
    delivery_id: UUID
    external_delivery_id: str
    status: str
    readiness: str
    reason_code: str | None
    track_seq: int
    driver_id: UUID | None
    route_status: str | None
    offer_status: str | None
    offer_valid_until: datetime | None
    link_revoked: bool = False


@dataclass(frozen=True, slots=True)
class RouteStanding:
    route_id: UUID
    driver_id: UUID
    version: int
    status: str


async def audit_database(dsn: str) -> AuditReport:
    """Every check on every market, in one moment of the database; writes nothing, and others go on working meanwhile.

    Raises DatabaseSetupError when it cannot be reached, or is not at this version's schema.
    """
    try:
        missing = await migrations.pending(dsn)
        if missing:
            raise DatabaseSetupError(f"this database lacks {', '.join(missing)}: run `flexlive migrate` on it first")
        async with _snapshot(dsn) as conn:
            return await report(conn)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DatabaseSetupError(f"cannot audit this database: {type(error).__name__}: {error}") from error


@asynccontextmanager
async def _snapshot(dsn: str) -> AsyncGenerator[Connection]:
    async with open_connection(dsn, _OPTIONS) as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        yield conn


async def markets(conn: Executor) -> list[str]:
    return [row["market_id"] for row in await conn.fetch(_sql.markets.sql)]


async def findings(conn: Executor, market_id: str) -> list[Finding]:
    """Every check on one market, at most FINDINGS_MAX rows of each."""
    return [finding for check in CHECKS for finding in (await run_check(conn, check, [market_id])).findings]


async def report(conn: Executor) -> AuditReport:
    """Every check on every market."""
    listed = await markets(conn)
    return AuditReport(tuple(listed), tuple([await run_check(conn, check, listed) for check in CHECKS]))


async def run_check(conn: Executor, check: str, market_ids: list[str]) -> CheckResult:
    """One check of CHECKS, market by market."""
    query: Query = getattr(_sql, check)
    found: list[Finding] = []
    count = 0
    for market_id in market_ids:
        values = {"market_id": market_id, **(_transition_table() if len(query.parameters) > 1 else {})}
        rows = await conn.fetch(*query.bind(**values), timeout=AUDIT_TIMEOUT_SECONDS)
        count += len(rows)
        found += [Finding(check, market_id, _text(row)) for row in rows[:FINDINGS_MAX]]
    return CheckResult(check, CHECKS[check], count, tuple(found))


async def offers_opened(conn: Executor, market_id: str) -> list[UUID]:
    return [row["offer_id"] for row in await conn.fetch(*_sql.offers_opened.bind(market_id=market_id))]


async def wins(conn: Executor, market_id: str) -> dict[UUID, UUID]:
    """Offer → the driver it was given to."""
    rows = await conn.fetch(*_sql.wins.bind(market_id=market_id))
    return {row["offer_id"]: row["driver_id"] for row in rows}


async def deliveries(conn: Executor, market_id: str) -> list[DeliveryStanding]:
    """Oldest first."""
    rows = await conn.fetch(*_sql.deliveries.bind(market_id=market_id))
    return [DeliveryStanding(market_id=market_id, **dict(row.items())) for row in rows]


async def routes(conn: Executor, market_id: str) -> list[RouteStanding]:
    rows = await conn.fetch(*_sql.routes.bind(market_id=market_id))
    return [RouteStanding(**dict(row.items())) for row in rows]


async def offers_over(conn: Executor, market_id: str) -> set[UUID]:
    """Offers nobody can take any more."""
    return {row["offer_id"] for row in await conn.fetch(*_sql.offers_over.bind(market_id=market_id))}


async def answers_kept(conn: Executor, market_id: str, driver_id: UUID, device_id: str) -> dict[str, str]:
    """By cmd, SHA-256 (hex) of the answer a device would get again."""
    rows = await conn.fetch(*_sql.answers_kept.bind(market_id=market_id, driver_id=driver_id, device_id=device_id))
    return {row["cmd"]: row["body_sha256"].hex() for row in rows}


def _transition_table() -> dict[str, list[str] | list[bool]]:
    """The domain's own table as columns: the audit knows no second one."""
    rows = [(row, actor, False) for row in TRANSITIONS for actor in row.actors]
    # A transfer is decided by ops and told by the second driver's scan.
    rows += [(row, actor, True) for row in CUSTODY_TRANSFERS for actor in row.actors | row.needs]
    return {
        "from_statuses": [row.from_status.value for row, _, _ in rows],
        "to_statuses": [row.to_status.value for row, _, _ in rows],
        "actor_types": [actor.value for _, actor, _ in rows],
        "are_transfers": [is_transfer for _, _, is_transfer in rows],
    }


def _text(row: Record) -> str:
    return ", ".join(f"{name} {value}" for name, value in row.items())
