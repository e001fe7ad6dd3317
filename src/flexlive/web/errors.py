"""The one place where whatever went wrong becomes an HTTP answer: problem+json with a stable code, no traceback."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final, TypeAlias, cast

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, InternalServerException
from litestar.openapi import ResponseSpec

from flexlive.domain.errors import CATALOGUE, ErrorCode, FlexliveError
from flexlive.protocol.problem import MEDIA_TYPE, Problem
from flexlive.storage import failures
from flexlive.storage.transaction import OutcomeUnknownError

PROBLEM_TYPE_PREFIX: Final = "/problems/"

_log = structlog.get_logger(__name__)

AnyRequest: TypeAlias = Request[Any, Any, Any]

_BY_STATUS: Final[Mapping[int, ErrorCode]] = {
    400: ErrorCode.INVALID,
    401: ErrorCode.UNAUTHORIZED,
    403: ErrorCode.FORBIDDEN,
    404: ErrorCode.NOT_FOUND,
    405: ErrorCode.METHOD_NOT_ALLOWED,
    413: ErrorCode.TOO_LARGE,
    415: ErrorCode.UNSUPPORTED,
    429: ErrorCode.RATE_LIMITED,
    503: ErrorCode.UNAVAILABLE,
}
_HUNG_UP: Final = "client disconnected prematurely"
"""How Litestar words that nobody waits for the answer any more; a test notices when it says it differently."""
_HEADERS_KEPT: Final = frozenset({"retry-after", "allow", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"})
"""Of an exception's headers, those a client acts on."""


def problem(error: FlexliveError, headers: Mapping[str, str] | None = None) -> Response[dict[str, Any]]:
    """The answer for a refusal; its extra fields become members of the problem."""
    entry = error.entry
    body: dict[str, Any] = {
        **error.fields,
        "type": PROBLEM_TYPE_PREFIX + error.code.value,
        "title": entry.title,
        "status": entry.http_status,
        "detail": error.detail or entry.title,
        "code": error.code.value,
    }
    sent = {"cache-control": "no-store", **(headers or {})}
    if entry.http_status == HTTPStatus.UNAUTHORIZED:
        sent["www-authenticate"] = "Bearer"
    return Response(body, status_code=entry.http_status, media_type=MEDIA_TYPE, headers=sent)


def refusal_of(error: Exception) -> FlexliveError:
    """What an exception means in terms of the catalogue. Never repeats the text of an unexpected one."""
    match error:
        case FlexliveError():
            return error
        case HTTPException() if error.status_code in _BY_STATUS:
            return FlexliveError(_BY_STATUS[error.status_code], _parameters_wrong(error))
        case InternalServerException() if error.detail == _HUNG_UP:
            return FlexliveError(ErrorCode.INVALID, "the body ended before its end")
        case HTTPException() if error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
            return FlexliveError(ErrorCode.INVALID)
        case OutcomeUnknownError():
            return FlexliveError(ErrorCode.OUTCOME_UNKNOWN)
        case _ if failures.unreachable(error):
            return FlexliveError(ErrorCode.DATABASE_UNAVAILABLE)
        case _ if failures.unstorable_text(error):
            return FlexliveError(ErrorCode.INVALID, "a text holds a character that cannot be stored")
        case _:
            return FlexliveError(ErrorCode.INTERNAL)


def _parameters_wrong(error: HTTPException) -> str:
    # Litestar's ValidationException names the parameters that were wrong; their values stay out of the answer.
    extra = cast("object", error.extra)
    if not isinstance(extra, list):
        return ""
    named = [cast("Mapping[str, object]", item) for item in cast("list[object]", extra) if isinstance(item, Mapping)]
    keys = [str(item["key"]) for item in named if "key" in item]
    return f"not valid: {', '.join(keys)}" if keys else ""


def handle(request: AnyRequest, error: Exception) -> Response[dict[str, Any]]:
    """Litestar's exception handler for everything. 5xx are logged: with a traceback only when they are our mistake."""
    refusal = refusal_of(error)
    # The route's template, never the path: paths hold tracking tokens.
    template = cast("Mapping[str, Any]", request.scope).get("path_template", "unmatched")
    if refusal.code is ErrorCode.INTERNAL:
        _log.error("request failed", method=request.method, route=template, exc_info=error)
    elif refusal.entry.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.warning("request refused", method=request.method, route=template, code=refusal.code.value)
    headers = cast("Mapping[str, str]", getattr(error, "headers", None) or {})
    return problem(refusal, {name: value for name, value in headers.items() if name.lower() in _HEADERS_KEPT})


exception_handlers: Final[dict[int | type[Exception], Any]] = {Exception: handle, HTTPException: handle}
"""For the Litestar app as a whole."""


def problems(codes: Iterable[ErrorCode]) -> dict[int, ResponseSpec]:
    """The error answers of a handler for OpenAPI, one entry per status."""
    names: dict[int, list[str]] = {}
    for code in codes:
        names.setdefault(CATALOGUE[code].http_status, []).append(code.value)
    return {
        status: ResponseSpec(
            data_container=Problem,
            description=f"code: {' | '.join(of_status)}",
            generate_examples=False,
            media_type=MEDIA_TYPE,
        )
        for status, of_status in sorted(names.items())
    }
