"""Pilots, over HTTP: arms, the kill switch, the report. Operators only."""

from __future__ import annotations

from litestar import Router, get, post
from litestar.params import JSONBody

from flexlive.domain.errors import ErrorCode as E
from flexlive.protocol import ops_market as wire
from flexlive.protocol.ops_actions import Reasoned
from flexlive.services import pilot_reports, pilots
from flexlive.web.auth import require_ops
from flexlive.web.body import PROVISIONING_BYTES_MAX, JsonBody
from flexlive.web.dependencies import Ctx, IdPath, MarketPath, Ops, ops_dependency
from flexlive.web.errors import problems
from flexlive.web.market_api import COMMON

_ONE = problems((*COMMON, E.MARKET_UNKNOWN, E.NOT_FOUND))
_WRITE = problems((*COMMON, E.MARKET_UNKNOWN, E.NOT_FOUND, E.TOO_LARGE, E.OUTCOME_UNKNOWN))


@post(
    "/pilots",
    dto=JsonBody[wire.CreatePilot],
    return_dto=None,
    operation_id="createPilot",
    responses=problems((*COMMON, E.MARKET_UNKNOWN, E.NOT_FOUND, E.CONFLICT, E.TOO_LARGE, E.OUTCOME_UNKNOWN)),
)
async def create_pilot(ctx: Ctx, market_id: MarketPath, data: JSONBody[wire.CreatePilot]) -> wire.Pilot:
    """Try an offer type with some drivers: while it runs, its work is shown to the cohort only."""
    return await pilots.create(ctx, market_id, data)


@get("/pilots", operation_id="listPilots", responses=problems((*COMMON, E.MARKET_UNKNOWN)))
async def list_pilots(ctx: Ctx, market_id: MarketPath) -> list[wire.Pilot]:
    """Oldest first."""
    return await pilots.every(ctx, market_id)


@get("/pilots/{pilot_id:uuid}", operation_id="getPilot", responses=_ONE)
async def get_pilot(ctx: Ctx, market_id: MarketPath, pilot_id: IdPath) -> wire.Pilot:
    return await pilots.get(ctx, market_id, pilot_id)


@post(
    "/pilots/{pilot_id:uuid}/members",
    dto=JsonBody[wire.AddMembers],
    return_dto=None,
    status_code=200,
    operation_id="addPilotMembers",
    responses=_WRITE,
)
async def add_members(ctx: Ctx, market_id: MarketPath, pilot_id: IdPath, data: JSONBody[wire.AddMembers]) -> wire.Pilot:
    """More drivers; who is in an arm stays there."""
    return await pilots.add_members(ctx, market_id, pilot_id, data)


@post(
    "/pilots/{pilot_id:uuid}/kill",
    dto=JsonBody[Reasoned],
    return_dto=None,
    status_code=200,
    operation_id="killPilot",
    responses=_WRITE,
)
async def kill_pilot(
    ctx: Ctx, ops: Ops, market_id: MarketPath, pilot_id: IdPath, data: JSONBody[Reasoned]
) -> wire.PilotKilled:
    """Stop new offers at once; routes finish. Doing it twice changes nothing."""
    return await pilots.kill(ctx, ops, market_id, pilot_id, data)


@post(
    "/pilots/{pilot_id:uuid}/resume",
    dto=JsonBody[Reasoned],
    return_dto=None,
    status_code=200,
    operation_id="resumePilot",
    responses=_WRITE,
)
async def resume_pilot(
    ctx: Ctx, ops: Ops, market_id: MarketPath, pilot_id: IdPath, data: JSONBody[Reasoned]
) -> wire.Pilot:
    """Take the stop back."""
    return await pilots.resume(ctx, ops, market_id, pilot_id, data)


@get("/pilots/{pilot_id:uuid}/report", operation_id="getPilotReport", responses=_ONE)
async def get_report(ctx: Ctx, market_id: MarketPath, pilot_id: IdPath) -> wire.PilotReport:
    """The cohort's funnel, and what being in the cohort goes with."""
    return await pilot_reports.report(ctx, market_id, pilot_id)


router = Router(
    path="/v1/ops/markets/{market_id:str}",
    route_handlers=[create_pilot, list_pilots, get_pilot, add_members, kill_pilot, resume_pilot, get_report],
    guards=[require_ops],
    dependencies=ops_dependency,
    request_max_body_size=PROVISIONING_BYTES_MAX,
    security=[{"ops": []}],
    tags=["pilots"],
)
