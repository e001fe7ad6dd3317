"""The dispatcher's decisions as rows, facts and reasons."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, assert_never
from uuid import UUID

import msgspec

from flexlive.domain import cells
from flexlive.domain.allocation.types import (
    Decision,
    Draw,
    Expire,
    Open,
    Widen,
    Withdraw,
)
from flexlive.domain.pay import PayRule
from flexlive.protocol import views
from flexlive.services.causes import by_system
from flexlive.services.context import Context
from flexlive.services.offer_views import Quoted, quote_offer
from flexlive.storage import offers, pilots, policies
from flexlive.storage.events import NewEvent, append
from flexlive.storage.offers import NewOffer
from flexlive.storage.policies import MarketRules
from flexlive.storage.pool import Connection


async def carry_out(
    ctx: Context, conn: Connection, rules: MarketRules, decisions: Sequence[Decision], now: datetime
) -> int:
    """Write decisions in the caller's transaction; how many still held once their rows were locked.

    Lock order as everywhere: pilots, offers in id order, then deliveries. Accepts lock several offers at once.
    """
    done = 0
    opens = [decision for decision in decisions if isinstance(decision, Open)]
    standing = [decision for decision in decisions if not isinstance(decision, Open)]
    if opens:
        # Whoever stops a pilot waits for this transaction and withdraws what it opens, or is waited for and seen.
        await pilots.hold(conn, rules.market_id, {decision.offer_type for decision in opens})
    for decision in sorted(standing, key=lambda decision: decision.offer_id):
        match decision:
            case Widen():
                held = await _widen(ctx, conn, rules, decision, now)
            case Withdraw():
                held = await _close(ctx, conn, rules, decision.offer_id, "withdrawn", decision.reason, now)
            case Expire():
                held = await _close(ctx, conn, rules, decision.offer_id, "expired", None, now)
            case Draw():
                # No policy of this version opens an offer whose winner is drawn.
                held = False
            case _:
                assert_never(decision)
        done += held
    return done + (await _open(ctx, conn, rules, opens, now) if opens else 0)


async def _open(ctx: Context, conn: Connection, rules: MarketRules, decisions: Sequence[Open], now: datetime) -> int:
    market_id = rules.market_id
    wanted = sorted({delivery_id for decision in decisions for delivery_id in decision.delivery_ids})
    rows = {row["delivery_id"]: row for row in await offers.lock_waiting(conn, market_id, wanted)}
    pay_rules = await policies.pay_rules(conn, market_id)
    opened: list[tuple[NewOffer, Sequence[UUID]]] = []
    events: list[NewEvent] = []
    for decision in decisions:
        if any(delivery_id not in rows for delivery_id in decision.delivery_ids):
            continue
        offer_id = ctx.new_id()
        work = [rows.pop(delivery_id) for delivery_id in decision.delivery_ids]
        quoted = quote_offer(offer_id, decision, work, rules, pay_rules.get(decision.offer_type, PayRule()), now)
        pilot_ids = sorted({pilot_id for row in work for pilot_id in row["pilot_ids"]})
        opened.append((_new_offer(offer_id, decision, quoted, pilot_ids, rules, now), decision.delivery_ids))
        data = {
            "offer": quoted.view,
            "cells": [cells.to_wire(cell) for cell in decision.cells],
            "excluded": sorted(decision.excluded),
            "pilots": pilot_ids,
        }
        events.append(by_system(now).event("offer", offer_id, "offer.opened", data))
        await _remember(ctx, conn, rules, decision, "open", offer_id, now)
    await offers.insert(conn, market_id, opened)
    # All in one statement, and last: from here to the commit nothing keeps the phones waiting.
    await append(conn, market_id, events)
    return len(opened)


def _new_offer(
    offer_id: UUID, decision: Open, quoted: Quoted, pilot_ids: Sequence[UUID], rules: MarketRules, now: datetime
) -> NewOffer:
    return NewOffer(
        offer_id=offer_id,
        offer_type=decision.offer_type,
        site_id=decision.site_id,
        shape=decision.shape.value,
        rule=decision.rule.value,
        cells=decision.cells,
        ring=decision.ring,
        base_cents=quoted.pay.base_cents,
        distance_cents=quoted.pay.distance_cents,
        tip_cents=quoted.pay.tip_cents,
        wait_rate_cents_per_minute=quoted.pay.wait_rate_cents_per_minute,
        currency=rules.currency,
        payload=quoted.view,
        policy=rules.policy.offer_policy,
        policy_version=rules.policy_version,
        opened_at=now,
        widen_at=decision.widen_at,
        valid_until=decision.valid_until,
        pilot_ids=pilot_ids,
        refused_by=sorted(decision.excluded),
    )


async def _widen(ctx: Context, conn: Connection, rules: MarketRules, decision: Widen, now: datetime) -> bool:
    row = await offers.lock(conn, rules.market_id, decision.offer_id)
    if row is None or row["status"] != "open":
        return False
    view = msgspec.convert(row["payload"], views.OfferView)
    widened = msgspec.structs.replace(view, offer_version=row["version"] + 1)
    await offers.widen(
        conn,
        rules.market_id,
        decision.offer_id,
        cells=decision.cells,
        ring=decision.ring,
        widen_at=decision.widen_at,
        payload=widened,
    )
    data = {
        "offer": widened,
        "cells": [cells.to_wire(cell) for cell in decision.cells],
        "cells_added": [cells.to_wire(cell) for cell in decision.cells_added],
        "pilots": row["pilot_ids"],
    }
    await append(conn, rules.market_id, [by_system(now).event("offer", decision.offer_id, "offer.widened", data)])
    await _remember(ctx, conn, rules, decision, "widen", decision.offer_id, now)
    return True


async def _close(
    ctx: Context, conn: Connection, rules: MarketRules, offer_id: UUID, status: str, reason: str | None, now: datetime
) -> bool:
    row = await offers.lock(conn, rules.market_id, offer_id)
    # The database clock decides, after the lock: an accept may have come first, or the offer may still be good.
    if row is None or row["status"] != "open" or (status == "expired" and row["db_now"] <= row["valid_until"]):
        return False
    await offers.close(conn, rules.market_id, offer_id, status, row["db_now"])
    cause = by_system(now, reason)
    await append(conn, rules.market_id, [cause.event("offer", offer_id, f"offer.{status}", {"offer_id": offer_id})])
    decision = Expire(offer_id) if status == "expired" else Withdraw(offer_id, reason or "")
    await _remember(ctx, conn, rules, decision, "expire" if status == "expired" else "withdraw", offer_id, now)
    return True


async def _remember(
    ctx: Context, conn: Connection, rules: MarketRules, decision: Decision, action: str, offer_id: UUID, now: datetime
) -> None:
    inputs: dict[str, Any] = msgspec.to_builtins(decision)
    # The offer's own row has the cells.
    inputs.pop("cells", None)
    await offers.insert_decision(
        conn,
        rules.market_id,
        decision_id=ctx.new_id(),
        decided_at=now,
        policy=rules.policy.offer_policy,
        policy_version=rules.policy_version,
        action=action,
        offer_id=offer_id,
        inputs=inputs,
    )
