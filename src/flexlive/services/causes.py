"""Who did what when, as one value, so that every event of a use case is told the same way. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from flexlive.storage.events import ActorType, NewEvent, StreamKind


@dataclass(frozen=True, slots=True)
class Cause:
    """occurred_at: when it happened where it happened (a phone's clock); received_at: when we learnt of it."""

    actor_type: ActorType
    actor_id: str | None
    occurred_at: datetime
    received_at: datetime
    reason_code: str | None = None

    def event(self, stream_kind: StreamKind, entity_id: UUID, kind: str, data: Mapping[str, object]) -> NewEvent:
        return NewEvent(
            stream_kind=stream_kind,
            entity_id=entity_id,
            kind=kind,
            actor_type=self.actor_type,
            actor_id=self.actor_id,
            reason_code=self.reason_code,
            occurred_at=self.occurred_at,
            received_at=self.received_at,
            data=data,
        )


def by_driver(driver_id: UUID, occurred_at: datetime, received_at: datetime, reason_code: str | None = None) -> Cause:
    # A phone may be slow but not ahead: nothing has happened later than we heard of it.
    return Cause("driver", str(driver_id), min(occurred_at, received_at), received_at, reason_code)


def by_system(at: datetime, reason_code: str | None = None) -> Cause:
    """A rule or a worker of ours."""
    return Cause("system", None, at, at, reason_code)
