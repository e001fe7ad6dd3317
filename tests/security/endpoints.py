"""Every address of the application, read from the application: a new one is attacked without being listed here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import uuid4

from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from flexlive.app import create_app
from flexlive.settings import Settings
from tests.support.cast import Cast, Place

ASKING, LEAVING, ACTED_UPON = 2, 3, 4
"""Which of a place's drivers asks over HTTP, is logged out, and has things done to by operators."""
NOT_OURS = {"/schema/{path:str}"}


@dataclass(frozen=True)
class Endpoint:
    """path: with `{name}` for each parameter. who: whose token it asks for; None when the address itself is the key.
    body: the struct of its JSON body, bytes for a raw one, None for none."""

    method: str
    path: str
    who: str | None
    body: type[Any] | None

    @property
    def parameters(self) -> list[str]:
        return re.findall(r"\{(\w+)\}", self.path)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@cache
def endpoints() -> tuple[Endpoint, ...]:
    app = create_app(Settings(), "postgresql:///", lambda: None)
    found: list[Endpoint] = []
    for route in app.routes:
        if not isinstance(route, HTTPRoute) or route.path in NOT_OURS:
            continue
        for handler in route.route_handlers:
            path = re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path)
            found += [Endpoint(method, path, _who(handler), _body(handler)) for method in handler.http_methods]
    return tuple(sorted((each for each in found if each.method != "OPTIONS"), key=str))


def writing() -> list[Endpoint]:
    """Those that take a JSON body."""
    return [each for each in endpoints() if each.body is not None and each.body is not bytes]


def filled(endpoint: Endpoint, values: Mapping[str, object]) -> str:
    """The path with these values; a parameter that is not among them gets an id nobody has."""
    return re.sub(r"\{(\w+)\}", lambda found: str(values.get(found[1], uuid4())), endpoint.path)


def values_of(place: Place) -> dict[str, str]:
    """What the parameters and fields of requests may truly be in a market."""
    return {
        "market_id": place.market_id,
        "merchant_id": str(place.merchant_id),
        "store_id": str(place.store_id),
        "site_id": str(place.site_id),
        "parent_site_id": str(place.site_id),
        "driver_id": str(place.driver_ids[ACTED_UPON]),
        "delivery_id": str(place.delivery_id),
        "offer_id": str(place.offer_id),
        "barcode": place.barcode,
        "offer_type": "retail_delivery",
        "service_level": "express",
        "token": place.track_token,
        "name": "track.css",
        "time_zone": "America/Phoenix",
        "external_store_id": f"{place.market_id}-1",
    }


def credentials(cast: Cast, endpoint: Endpoint) -> str:
    """A token that is good there. Whoever may be logged out, or lose something, is nobody another test needs."""
    match endpoint.who:
        case "ops":
            return cast.ops_token
        case "merchant":
            return cast.here.api_key
        case "driver":
            leaving = endpoint.path.endswith("/logout")
            return cast.here.driver_tokens[LEAVING if leaving else ASKING]
        case _:
            return ""


def _who(handler: HTTPRouteHandler) -> str | None:
    security = [name for requirement in handler.resolve_security() for name in requirement]
    return security[0] if security else None


def _body(handler: HTTPRouteHandler) -> type[Any] | None:
    field = handler.parsed_fn_signature.parameters.get("data")
    if field is None:
        return None
    return field.annotation if isinstance(field.annotation, type) else bytes
