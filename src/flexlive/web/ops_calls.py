"""What the handlers of operators' actions share: the Idempotency-Key, and the call they hand to the services."""

from __future__ import annotations

from typing import Annotated, TypeAlias
from uuid import UUID

from litestar.params import HeaderParameter

from flexlive.domain.errors import ErrorCode as E
from flexlive.protocol import ops_actions as wire
from flexlive.services.ops_actions import OpsCall
from flexlive.services.tokens import OpsPrincipal
from flexlive.web.errors import problems
from flexlive.web.market_api import COMMON

IdempotencyKey: TypeAlias = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        pattern=wire.IDEMPOTENCY_KEY,
        description="the same key and request again gets the same answer; up to 64 printable ASCII characters",
    ),
]

ACTED = problems(
    (
        *COMMON, E.MARKET_UNKNOWN, E.NOT_FOUND, E.CONFLICT, E.ILLEGAL_TRANSITION, E.PICKUP_WINDOW_INVALID,
        E.NOT_ELIGIBLE, E.SLOTS_FULL, E.DEACTIVATED, E.TOO_LARGE, E.UNAVAILABLE, E.OUTCOME_UNKNOWN,
    )
)  # fmt: skip
"""What any action may be refused with."""


def call(
    ops: OpsPrincipal,
    market_id: str,
    action: str,
    subject: tuple[wire.SubjectKind, UUID],
    body: wire.Reasoned,
    idempotency_key: str | None,
) -> OpsCall:
    """subject: its kind and id, as the path names it."""
    kind, subject_id = subject
    return OpsCall(
        ops=ops,
        market_id=market_id,
        action=action,
        subject_kind=kind,
        subject_id=subject_id,
        body=body,
        idempotency_key=idempotency_key,
    )
