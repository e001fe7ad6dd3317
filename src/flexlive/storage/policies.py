"""A market's rules as stored; scaling and meaning are the domain's."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from flexlive.domain.markets import MarketPolicy, policy_from, scaled
from flexlive.domain.pay import PayRule
from flexlive.storage.pool import Executor
from flexlive.storage.queries import load

_sql = load("policies")


@dataclass(frozen=True, slots=True)
class MarketRules:
    """policy: already scaled to the deployment's time scale."""

    market_id: str
    policy: MarketPolicy
    policy_version: int
    time_zone: str
    currency: str
    offer_resolution: int
    presence_resolution: int


async def rules(conn: Executor, market_id: str, time_scale: float) -> MarketRules | None:
    """None when there is no such market."""
    row = await conn.fetchrow(*_sql.market_policy.bind(market_id=market_id))
    if row is None:
        return None
    return MarketRules(
        market_id=market_id,
        policy=scaled(policy_from(row["policy"]), time_scale),
        policy_version=row["policy_version"],
        time_zone=row["time_zone"],
        currency=row["currency"],
        offer_resolution=row["offer_resolution"],
        presence_resolution=row["presence_resolution"],
    )


async def market_ids(conn: Executor) -> list[str]:
    """Every market of the deployment; the one statement that looks across them, by design."""
    return [row["market_id"] for row in await conn.fetch(_sql.market_ids.sql)]


async def pay_rules(conn: Executor, market_id: str) -> dict[str, PayRule]:
    """By offer type."""
    rows = await conn.fetch(*_sql.pay_rules.bind(market_id=market_id))
    return {row["offer_type"]: msgspec.convert(row["pay_rule"], PayRule) for row in rows}
