"""Who is asking: a Bearer token becomes a principal before the body is read. No token, a wrong one and one of another
kind are answered alike."""

from __future__ import annotations

from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.openapi.spec import SecurityScheme

from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.services import drivers, tokens
from flexlive.services.context import Context
from flexlive.services.drivers import DriverPrincipal
from flexlive.services.tokens import MerchantPrincipal, OpsPrincipal
from flexlive.web.rate_limit import token_was_good

DELIVERIES_SCOPE: Final = "deliveries"
_PRINCIPAL: Final = "flexlive_principal"

AnyConnection = ASGIConnection[Any, Any, Any, Any]

security_schemes: Final = {
    name: SecurityScheme(type="http", scheme="bearer", description=description)
    for name, description in {
        "ops": "an operator's token, `fl_ops_…`",
        "merchant": "a merchant's API key, `fl_merchant_deployment_…`",
        "driver": "a driver's access token, `fl_driver_…`",
    }.items()
}


def bearer(connection: AnyConnection) -> str:
    """The token of `Authorization: Bearer …`. FlexliveError(unauthorized) when there is none, or more than one."""
    headers = connection.headers.getall("authorization", [])
    scheme, _, token = headers[0].partition(" ") if len(headers) == 1 else ("", "", "")
    if scheme.lower() != "bearer" or not token.strip():
        raise FlexliveError(ErrorCode.UNAUTHORIZED)
    return token.strip()


def _ctx(connection: AnyConnection) -> Context:
    return connection.app.state.ctx


async def require_ops(connection: AnyConnection, _: BaseRouteHandler) -> None:
    """Guard. A token of one market is refused wherever the path names another."""
    principal = await tokens.verify_ops(_ctx(connection), bearer(connection))
    market_id = connection.path_params.get("market_id")
    if market_id is not None:
        principal.require_market(market_id)
    _known(connection, principal)


async def require_merchant(connection: AnyConnection, _: BaseRouteHandler) -> None:
    """Guard."""
    principal = await tokens.verify_merchant(_ctx(connection), bearer(connection))
    if DELIVERIES_SCOPE not in principal.scopes:
        raise FlexliveError(ErrorCode.FORBIDDEN)
    _known(connection, principal)


async def require_driver(connection: AnyConnection, _: BaseRouteHandler) -> None:
    """Guard: an access token, see authenticate_driver."""
    connection.scope["state"][_PRINCIPAL] = await authenticate_driver(_ctx(connection), connection)


async def authenticate_driver(ctx: Context, connection: AnyConnection) -> DriverPrincipal:
    """The driver of an access token; a ticket is not one. FlexliveError: unauthorized, token_expired, deactivated."""
    token = bearer(connection)
    if not token.startswith("fl_driver_"):
        raise FlexliveError(ErrorCode.UNAUTHORIZED)
    match await drivers.authenticate(ctx, token):
        case DriverPrincipal() as principal:
            token_was_good(connection.scope)
            return principal
        case drivers.Refused("expired"):
            raise FlexliveError(ErrorCode.TOKEN_EXPIRED)
        case drivers.Refused("deactivated"):
            raise FlexliveError(ErrorCode.DEACTIVATED)
        case drivers.Refused():
            raise FlexliveError(ErrorCode.UNAUTHORIZED)


def _known(connection: AnyConnection, principal: OpsPrincipal | MerchantPrincipal) -> None:
    token_was_good(connection.scope)
    connection.scope["state"][_PRINCIPAL] = principal


def driver_of(connection: AnyConnection) -> DriverPrincipal:
    """What require_driver has found."""
    return connection.scope["state"][_PRINCIPAL]


def merchant_of(connection: AnyConnection) -> MerchantPrincipal:
    """What require_merchant has found."""
    return connection.scope["state"][_PRINCIPAL]


def ops_of(connection: AnyConnection) -> OpsPrincipal:
    """What require_ops has found."""
    return connection.scope["state"][_PRINCIPAL]
