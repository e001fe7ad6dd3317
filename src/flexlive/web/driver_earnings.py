"""A driver's pay over HTTP."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from litestar import Router, get
from litestar.params import QueryParameter

from flexlive.domain.errors import ErrorCode as E
from flexlive.protocol import driver_http as wire
from flexlive.services.earnings import earnings
from flexlive.web.auth import driver_of, require_driver
from flexlive.web.dependencies import Ctx
from flexlive.web.errors import AnyRequest, problems

FirstDay = Annotated[date | None, QueryParameter(name="from", description="YYYY-MM-DD, where the market is")]
LastDay = Annotated[date | None, QueryParameter(name="to", description="YYYY-MM-DD, included")]


@get(
    "/v1/driver/earnings",
    operation_id="getEarnings",
    responses=problems(
        (E.INVALID, E.UNAUTHORIZED, E.TOKEN_EXPIRED, E.DEACTIVATED, E.RATE_LIMITED, E.DATABASE_UNAVAILABLE)
    ),
)
async def get_earnings(
    ctx: Ctx, request: AnyRequest, first_day: FirstDay = None, last_day: LastDay = None
) -> wire.Earnings:
    """What this driver has earned, by day and route, every row explained. At most 31 days; today by default."""
    return await earnings(ctx, driver_of(request), first_day, last_day)


router = Router(
    path="/", route_handlers=[get_earnings], guards=[require_driver], security=[{"driver": []}], tags=["driver"]
)
