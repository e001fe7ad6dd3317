"""How a driver comes to an offer type: invited → interested → documents → active → suspended, and who moves it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias


class EnrolmentStatus(StrEnum):
    INVITED = "invited"
    INTERESTED = "interested"
    DOCUMENTS = "documents"
    ACTIVE = "active"
    SUSPENDED = "suspended"


class DocumentStatus(StrEnum):
    SUBMITTED = "submitted"
    APPROVED = "approved"
    REJECTED = "rejected"


_E = EnrolmentStatus
ENROLMENT_TRANSITIONS: Final[tuple[tuple[EnrolmentStatus, EnrolmentStatus], ...]] = (
    (_E.INVITED, _E.INTERESTED),
    (_E.INTERESTED, _E.DOCUMENTS),
    (_E.DOCUMENTS, _E.ACTIVE),
    (_E.ACTIVE, _E.SUSPENDED),
    (_E.SUSPENDED, _E.ACTIVE),
)

DECLINED: Final = "declined"
"""Why an enrolment is still `invited`: the driver was asked and said no."""
OPTED_OUT: Final = "opted_out"
"""Why an enrolment is suspended when the driver asked for it; only then may the driver end the suspension."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """reason: why it stands where it stands, where that is not plain."""

    status: EnrolmentStatus
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Moved:
    """path: the statuses gone through, the present one last; empty when the status stays. reason: the new one."""

    path: tuple[EnrolmentStatus, ...]
    reason: str | None = None

    def status_after(self, before: EnrolmentStatus) -> EnrolmentStatus:
        return self.path[-1] if self.path else before


class Refusal(StrEnum):
    NOT_INVITED = "not_invited"
    SUSPENDED = "suspended"
    ILLEGAL = "illegal"


@dataclass(frozen=True, slots=True)
class Refused:
    refusal: Refusal


Verdict: TypeAlias = Moved | Refused


def on_answer(enrolment: Enrolment | None, *, accept: bool, documents_complete: bool) -> Verdict:
    """The driver's own word about the terms in force. documents_complete: nothing that is asked for is missing."""
    if enrolment is None:
        return Refused(Refusal.NOT_INVITED)
    match enrolment.status:
        case EnrolmentStatus.INVITED:
            return Moved((_E.INTERESTED, *_through_documents(documents_complete))) if accept else Moved((), DECLINED)
        case EnrolmentStatus.INTERESTED:
            return Moved(_through_documents(documents_complete)) if accept else Refused(Refusal.ILLEGAL)
        case EnrolmentStatus.DOCUMENTS:
            return on_documents(enrolment, complete=documents_complete) if accept else Refused(Refusal.ILLEGAL)
        case EnrolmentStatus.ACTIVE:
            return Moved(()) if accept else Moved((_E.SUSPENDED,), OPTED_OUT)
        case EnrolmentStatus.SUSPENDED:
            if not accept:
                return Moved((), enrolment.reason)
            return Moved((_E.ACTIVE,)) if enrolment.reason == OPTED_OUT else Refused(Refusal.SUSPENDED)


def on_documents(enrolment: Enrolment, *, complete: bool) -> Moved:
    """A document was decided on: the last one missing opens the way."""
    waiting = enrolment.status is EnrolmentStatus.DOCUMENTS
    return Moved((_E.ACTIVE,)) if waiting and complete else Moved((), enrolment.reason)


def on_ops(enrolment: Enrolment | None, to_status: EnrolmentStatus, reason: str) -> Verdict:
    """An operator invites, suspends or reinstates; everything else is the driver's own doing."""
    if enrolment is None:
        return Moved((_E.INVITED,)) if to_status is _E.INVITED else Refused(Refusal.NOT_INVITED)
    if enrolment.status is to_status:
        return Moved((), reason if to_status is _E.SUSPENDED else enrolment.reason)
    if (enrolment.status, to_status) == (_E.ACTIVE, _E.SUSPENDED):
        return Moved((_E.SUSPENDED,), reason)
    if (enrolment.status, to_status) == (_E.SUSPENDED, _E.ACTIVE):
        return Moved((_E.ACTIVE,))
    return Refused(Refusal.ILLEGAL)


def _through_documents(complete: bool) -> tuple[EnrolmentStatus, ...]:
    return (_E.DOCUMENTS, _E.ACTIVE) if complete else (_E.DOCUMENTS,)
