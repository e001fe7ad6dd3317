"""What merchants, counters, operators, customers and rules do to a run's deliveries, each by a use case of theirs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from flexlive.domain.actors import ActorType
from flexlive.domain.reasons import ReasonCode
from flexlive.protocol import ops_actions as wire
from flexlive.services import (
    adjustments,
    assignments,
    deadlines,
    deliveries,
    drop_off_instructions,
    order_ends,
    overrides,
    resolutions,
    transfers,
    watch,
)
from flexlive.services.ops_actions import OpsCall
from flexlive.storage.leases import Lease, acquire
from tests.model.run import Run
from tests.support.dispatch import dispatch
from tests.support.tracking import token_of

WHY: dict[str, Any] = {"reason_code": ReasonCode.OPS_DECISION}
RESOLUTIONS = ("retry", "return_to_pickup", "leave_at_door", "dispose", "lost")
READINESS = ("preparing", "ready", "delayed", "unavailable", "handed_over", "pending")
HOURS_AHEAD = (0.0, 0.5, 1.0, 3.0)

MERCHANT_KINDS = ("cancel", "readiness", "readiness")
OPS_KINDS = ("assign", "unassign", "cancel", "reoffer", "extend", "resolve", "transfer", "transfer", "call_off",
             "lose", "check_in", "adjust")  # fmt: skip
SYSTEM_KINDS = ("dispatch", "dispatch", "dispatch", "watch")


async def merchant(run: Run, kind: str, a: int, b: int) -> None:
    delivery_id = _delivery(run, a)
    if kind == "cancel":
        await cancel_by_merchant(run, delivery_id)
    else:
        await set_readiness(run, delivery_id, READINESS[b % len(READINESS)])


async def cancel_by_merchant(run: Run, delivery_id: UUID) -> bool:
    cancel = partial(order_ends.cancel, run.ctx, run.lane.world.merchant, run.lane.market_id, delivery_id)
    return await run.staff(ActorType.MERCHANT, f"cancel {delivery_id}", partial(cancel, "merchant_cancelled"))


async def set_readiness(run: Run, delivery_id: UUID, readiness: str) -> bool:
    work = partial(
        deliveries.set_readiness, run.ctx, run.lane.world.merchant, run.lane.market_id, delivery_id, readiness
    )
    return await run.staff(ActorType.STORE, f"{readiness} {delivery_id}", work)


async def customer(run: Run, a: int, b: int) -> None:
    """New instructions for the door, by the tracking link."""
    order = run.orders[a % len(run.orders)]
    work = partial(drop_off_instructions.change, run.ctx, token_of(order.created), f"Ring {b} times")
    await run.staff(ActorType.CUSTOMER, "instructions", work)


async def system(run: Run, kind: str, a: int) -> None:
    if kind == "dispatch":
        await offer(run)
    else:
        await wait(run, HOURS_AHEAD[a % len(HOURS_AHEAD)])


async def offer(run: Run) -> bool:
    """The dispatcher looks; not when everything that waits is offered already."""
    offered = {each for offer in run.now.offers.values() if offer["status"] == "open" for each in offer["delivery_ids"]}
    if all(each["status"] != "created" or each["delivery_id"] in offered for each in run.open()):
        return False
    return await run.staff(ActorType.SYSTEM, "dispatch", partial(dispatch, run.ctx, run.lane.market_id))


async def wait(run: Run, hours: float) -> bool:
    """The watch looks twice, as if hours had gone by: the first look tells operators, the second acts."""
    ahead = replace(run.ctx, clock=lambda: run.ctx.clock() + timedelta(hours=hours))
    return await run.staff(ActorType.SYSTEM, f"watch in {hours} h", partial(_watch, run, ahead))


async def _watch(run: Run, ahead: Any) -> None:
    lease = await _lease(run)
    await watch.look(ahead, lease, ahead.clock())
    await watch.look(ahead, lease, ahead.clock() + timedelta(minutes=30))


async def _lease(run: Run) -> Lease:
    async with run.ctx.pool.acquire() as conn:
        lease = await acquire(conn, run.lane.market_id, "watch", "model", 3600)
    assert lease is not None
    return lease


async def ops(run: Run, kind: str, a: int, b: int) -> bool:
    """An operator's action, legal or not."""
    delivery_id, driver_id = _delivery(run, a), run.driver_at(b).driver_id
    match kind:
        case "assign":
            return await assign(run, delivery_id, driver_id)
        case "unassign":
            return await _ops(run, assignments.unassign, kind, delivery_id)
        case "cancel":
            return await _ops(run, resolutions.cancel, kind, delivery_id)
        case "reoffer":
            return await _ops(run, assignments.reoffer, kind, delivery_id)
        case "extend":
            later = run.ctx.clock() + timedelta(hours=4)
            return await _ops(run, deadlines.extend, kind, delivery_id, wire.Extend(dropoff_deadline_at=later, **WHY))
        case "resolve":
            return await resolve(run, delivery_id, RESOLUTIONS[b % len(RESOLUTIONS)])
        case "transfer":
            return await transfer(run, delivery_id, driver_id, everything=a >= 8)
        case "call_off":
            return await _ops(run, transfers.cancel_transfer, kind, delivery_id)
        case "lose":
            return await _ops(run, resolutions.lose, kind, delivery_id)
        case "check_in":
            stops = run.now.stops()
            stop_id = UUID(stops[b % len(stops)]["stop_id"]) if stops else UUID(int=0)
            return await check_in(run, stop_id)
        case "adjust":
            return await adjust(run, driver_id, delivery_id, 50 + b)
        case _:
            raise AssertionError(kind)


async def assign(run: Run, delivery_id: UUID, driver_id: UUID) -> bool:
    return await _ops(run, assignments.assign, "assign", delivery_id, wire.Assign(driver_id=driver_id, **WHY))


async def resolve(run: Run, delivery_id: UUID, resolution: str) -> bool:
    body = wire.ResolveIncident(resolution=resolution, **WHY)
    return await _ops(run, resolutions.resolve_incident, f"resolve {resolution}", delivery_id, body)


async def transfer(run: Run, delivery_id: UUID, driver_id: UUID, *, everything: bool = False) -> bool:
    body = wire.Transfer(driver_id=driver_id, everything_on_board=everything, **WHY)
    return await _ops(run, transfers.transfer, "transfer", delivery_id, body)


async def check_in(run: Run, stop_id: UUID) -> bool:
    return await _ops(run, overrides.check_in, "check_in", stop_id, subject_kind="stop")


async def adjust(run: Run, driver_id: UUID, delivery_id: UUID, cents: int) -> bool:
    """Asked for twice under one key, paid once."""
    body = wire.Adjust(amount_cents=cents, delivery_id=delivery_id, **WHY)
    call = OpsCall(
        ops=run.lane.ops,
        market_id=run.lane.market_id,
        action="adjust",
        subject_kind="driver",
        subject_id=driver_id,
        body=body,
        idempotency_key=f"{delivery_id}-{len(run.log)}",
    )

    async def twice() -> None:
        first = await adjustments.adjust(run.ctx, call, body)
        assert await adjustments.adjust(run.ctx, call, body) == first

    done = await run.staff(ActorType.OPS, "adjust", twice)
    if done:
        run.adjusted.append((str(delivery_id), str(driver_id), cents))
    return done


async def _ops(
    run: Run, use_case: Any, action: str, subject_id: UUID, body: Any = None, *, subject_kind: Any = "delivery"
) -> bool:
    call = OpsCall(
        ops=run.lane.ops,
        market_id=run.lane.market_id,
        action=action,
        subject_kind=subject_kind,
        subject_id=subject_id,
        body=body or wire.Reasoned(**WHY),
    )
    work = partial(use_case, run.ctx, call) if body is None else partial(use_case, run.ctx, call, body)
    return await run.staff(ActorType.OPS, f"{action} {subject_id}", work)


def _delivery(run: Run, which: int) -> UUID:
    return run.orders[which % len(run.orders)].created.delivery_id
