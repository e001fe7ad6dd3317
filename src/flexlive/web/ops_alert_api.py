"""What wants an operator's eye, and what operators did, over HTTP."""

from __future__ import annotations

from uuid import UUID

from litestar import Router, get, post
from litestar.params import FromQuery, JSONBody

from flexlive.domain.alerts import AlertKind
from flexlive.domain.errors import ErrorCode as E
from flexlive.protocol import ops_actions as wire
from flexlive.services import alerts, ops_actions, overrides
from flexlive.web.auth import require_ops
from flexlive.web.body import BODY_BYTES_MAX, JsonBody
from flexlive.web.dependencies import Ctx, IdPath, MarketPath, Ops, ops_dependency
from flexlive.web.errors import problems
from flexlive.web.market_api import COMMON
from flexlive.web.ops_calls import ACTED, IdempotencyKey, call

_READ = problems((*COMMON, E.MARKET_UNKNOWN))


@get("/alerts", operation_id="listAlerts", responses=_READ)
async def list_alerts(
    ctx: Ctx,
    market_id: MarketPath,
    open_only: FromQuery[bool] = True,
    kind: FromQuery[AlertKind | None] = None,
    before: FromQuery[UUID | None] = None,
) -> wire.AlertPage:
    """A page of alerts, newest first; only the open ones unless told otherwise."""
    return await alerts.page(ctx, market_id, open_only=open_only, kind=kind, before=before)


@post(
    "/alerts/{alert_id:uuid}/resolve",
    dto=JsonBody[wire.Reasoned],
    return_dto=None,
    status_code=200,
    operation_id="resolveAlert",
    responses=ACTED,
)
async def resolve_alert(
    ctx: Ctx,
    ops: Ops,
    market_id: MarketPath,
    alert_id: IdPath,
    data: JSONBody[wire.Reasoned],
    idempotency_key: IdempotencyKey = None,
) -> wire.Action:
    """Seen and done. Resolving `attempts_exhausted` grants new attempts; an incident is resolved by deciding it."""
    subject = call(ops, market_id, "resolve_alert", ("alert", alert_id), data, idempotency_key)
    return await overrides.resolve_alert(ctx, subject)


@get("/actions", operation_id="listActions", responses=_READ)
async def list_actions(ctx: Ctx, market_id: MarketPath, subject_id: FromQuery[UUID]) -> list[wire.Action]:
    """What operators did to a delivery, driver, stop or alert, oldest first."""
    return await ops_actions.about(ctx, market_id, subject_id)


router = Router(
    path="/v1/ops/markets/{market_id:str}",
    route_handlers=[list_alerts, resolve_alert, list_actions],
    guards=[require_ops],
    dependencies=ops_dependency,
    request_max_body_size=BODY_BYTES_MAX,
    security=[{"ops": []}],
    tags=["operations"],
)
