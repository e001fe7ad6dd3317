"""Enrolments and papers, over HTTP: operators decide, drivers hand in and look."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Router, get, put
from litestar.params import FromQuery, JSONBody

from flexlive.domain.errors import ErrorCode as E
from flexlive.protocol import ops_market as wire
from flexlive.services import documents, enrolment_steps
from flexlive.web.auth import driver_of, require_driver, require_ops
from flexlive.web.body import BODY_BYTES_MAX, JsonBody
from flexlive.web.dependencies import (
    Ctx,
    DocumentPath,
    IdPath,
    MarketPath,
    OfferTypePath,
    OfferTypeQuery,
    Ops,
    ops_dependency,
)
from flexlive.web.errors import problems
from flexlive.web.market_api import COMMON

_READ = problems((*COMMON, E.MARKET_UNKNOWN))
_WRITE = problems((*COMMON, E.MARKET_UNKNOWN, E.NOT_FOUND, E.TOO_LARGE, E.OUTCOME_UNKNOWN))
_MOVE = problems((*COMMON, E.MARKET_UNKNOWN, E.NOT_FOUND, E.TOO_LARGE, E.ILLEGAL_TRANSITION, E.OUTCOME_UNKNOWN))
_DRIVER = (E.INVALID, E.UNAUTHORIZED, E.TOKEN_EXPIRED, E.DEACTIVATED, E.RATE_LIMITED, E.DATABASE_UNAVAILABLE)


@get("/enrolments", operation_id="listEnrolments", responses=_READ)
async def list_enrolments(
    ctx: Ctx,
    market_id: MarketPath,
    offer_type: OfferTypeQuery,
    status: FromQuery[wire.EnrolmentStatusName | None] = None,
    after: FromQuery[UUID | None] = None,
) -> wire.EnrolmentPage:
    """A page of an offer type's drivers, and what each still lacks."""
    return await enrolment_steps.of_offer_type(ctx, market_id, offer_type, status, after)


@get("/drivers/{driver_id:uuid}/enrolments", operation_id="listDriverEnrolments", responses=_READ)
async def list_driver_enrolments(ctx: Ctx, market_id: MarketPath, driver_id: IdPath) -> list[wire.Enrolment]:
    return await enrolment_steps.of_driver(ctx, market_id, driver_id)


@put(
    "/drivers/{driver_id:uuid}/enrolments/{offer_type:str}",
    dto=JsonBody[wire.PutEnrolment],
    return_dto=None,
    operation_id="putEnrolment",
    responses=_MOVE,
)
async def put_enrolment(
    ctx: Ctx,
    ops: Ops,
    market_id: MarketPath,
    driver_id: IdPath,
    offer_type: OfferTypePath,
    data: JSONBody[wire.PutEnrolment],
) -> wire.Enrolment:
    """Invite, suspend or reinstate one driver for one offer type; an open app follows at once."""
    return await enrolment_steps.put(ctx, ops, market_id, driver_id, offer_type, data)


@get("/documents", operation_id="listDocuments", responses=_READ)
async def list_documents(
    ctx: Ctx, market_id: MarketPath, status: FromQuery[wire.DocumentStatusName | None] = None
) -> list[wire.DriverDocument]:
    """Up to 500 papers of a market, the longest waiting first."""
    return await documents.in_market(ctx, market_id, status)


@get("/drivers/{driver_id:uuid}/documents", operation_id="listDriverDocuments", responses=_READ)
async def list_driver_documents(ctx: Ctx, market_id: MarketPath, driver_id: IdPath) -> list[wire.DriverDocument]:
    return await documents.of_driver(ctx, market_id, driver_id)


@put(
    "/drivers/{driver_id:uuid}/documents/{document:str}",
    dto=JsonBody[wire.PutDocument],
    return_dto=None,
    operation_id="putDocument",
    responses=_WRITE,
)
async def put_document(
    ctx: Ctx,
    ops: Ops,
    market_id: MarketPath,
    driver_id: IdPath,
    document: DocumentPath,
    data: JSONBody[wire.PutDocument],
) -> wire.DriverDocument:
    """Approve or reject a paper; the last one missing makes the enrolment active."""
    return await documents.decide(ctx, ops, market_id, driver_id, document, data)


@get("/v1/driver/enrolments", operation_id="listMyEnrolments", responses=problems(_DRIVER))
async def list_my_enrolments(ctx: Ctx, request: Request[Any, Any, Any]) -> list[wire.Enrolment]:
    """Where I stand, by offer type, and what is missing."""
    driver = driver_of(request)
    return await enrolment_steps.of_driver(ctx, driver.market_id, driver.driver_id)


@get("/v1/driver/documents", operation_id="listMyDocuments", responses=problems(_DRIVER))
async def list_my_documents(ctx: Ctx, request: Request[Any, Any, Any]) -> list[wire.DriverDocument]:
    driver = driver_of(request)
    return await documents.of_driver(ctx, driver.market_id, driver.driver_id)


@put(
    "/v1/driver/documents/{document:str}",
    dto=JsonBody[wire.SubmitDocument],
    return_dto=None,
    operation_id="submitDocument",
    responses=problems((*_DRIVER, E.NOT_FOUND, E.CONFLICT, E.TOO_LARGE, E.OUTCOME_UNKNOWN)),
)
async def submit_document(
    ctx: Ctx,
    request: Request[Any, Any, Any],
    document: DocumentPath,
    data: JSONBody[wire.SubmitDocument],
) -> wire.DriverDocument:
    """Hand in a paper that was uploaded before."""
    return await documents.submit(ctx, driver_of(request), document, data)


router = Router(
    path="/v1/ops/markets/{market_id:str}",
    route_handlers=[
        list_enrolments, list_driver_enrolments, put_enrolment, list_documents, list_driver_documents, put_document,
    ],
    guards=[require_ops],
    dependencies=ops_dependency,
    request_max_body_size=BODY_BYTES_MAX,
    security=[{"ops": []}],
    tags=["enrolments"],
)  # fmt: skip

driver_router = Router(
    path="/",
    route_handlers=[list_my_enrolments, list_my_documents, submit_document],
    guards=[require_driver],
    request_max_body_size=BODY_BYTES_MAX,
    security=[{"driver": []}],
    tags=["driver"],
)
