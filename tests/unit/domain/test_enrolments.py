"""An enrolment moves along its machine only, whoever speaks."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexlive.domain.enrolments import (
    DECLINED,
    ENROLMENT_TRANSITIONS,
    OPTED_OUT,
    Enrolment,
    EnrolmentStatus,
    Moved,
    Refusal,
    Refused,
    on_answer,
    on_documents,
    on_ops,
)

STATUSES = st.sampled_from(EnrolmentStatus)
ENROLMENTS = st.builds(Enrolment, STATUSES, st.sampled_from([None, DECLINED, OPTED_OUT, "safety"]))
S = EnrolmentStatus


def test_the_way_in_goes_through_documents_and_only_active_is_suspended() -> None:
    into_active = {source for source, target in ENROLMENT_TRANSITIONS if target is S.ACTIVE}
    assert into_active == {S.DOCUMENTS, S.SUSPENDED}
    assert {source for source, _ in ENROLMENT_TRANSITIONS} == set(S)


@given(enrolment=ENROLMENTS, accept=st.booleans(), complete=st.booleans(), to_status=STATUSES)
def test_every_path_is_made_of_rows_of_the_table(
    enrolment: Enrolment, accept: bool, complete: bool, to_status: EnrolmentStatus
) -> None:
    for verdict in (
        on_answer(enrolment, accept=accept, documents_complete=complete),
        on_documents(enrolment, complete=complete),
        on_ops(enrolment, to_status, "safety"),
    ):
        if isinstance(verdict, Moved):
            steps = list(pairwise((enrolment.status, *verdict.path)))
            assert set(steps) <= set(ENROLMENT_TRANSITIONS)


@given(enrolment=ENROLMENTS, accept=st.booleans())
def test_nobody_becomes_active_while_papers_are_missing(enrolment: Enrolment, accept: bool) -> None:
    verdict = on_answer(enrolment, accept=accept, documents_complete=False)
    if enrolment.status is not S.SUSPENDED:
        assert not (isinstance(verdict, Moved) and S.ACTIVE in verdict.path)
    assert on_documents(enrolment, complete=False).path == ()


@pytest.mark.parametrize(
    ("enrolment", "accept", "complete", "expected"),
    [
        (None, True, True, Refused(Refusal.NOT_INVITED)),
        (Enrolment(S.INVITED), True, True, Moved((S.INTERESTED, S.DOCUMENTS, S.ACTIVE))),
        (Enrolment(S.INVITED, DECLINED), True, False, Moved((S.INTERESTED, S.DOCUMENTS))),
        (Enrolment(S.INVITED), False, True, Moved((), DECLINED)),
        (Enrolment(S.DOCUMENTS), False, True, Refused(Refusal.ILLEGAL)),
        (Enrolment(S.ACTIVE), True, True, Moved(())),
        (Enrolment(S.ACTIVE), False, True, Moved((S.SUSPENDED,), OPTED_OUT)),
        (Enrolment(S.SUSPENDED, OPTED_OUT), True, True, Moved((S.ACTIVE,))),
        (Enrolment(S.SUSPENDED, "safety"), True, True, Refused(Refusal.SUSPENDED)),
        (Enrolment(S.SUSPENDED, "safety"), False, True, Moved((), "safety")),
    ],
)
def test_what_an_answer_does(
    enrolment: Enrolment | None, accept: bool, complete: bool, expected: Moved | Refused
) -> None:
    assert on_answer(enrolment, accept=accept, documents_complete=complete) == expected


@pytest.mark.parametrize(
    ("enrolment", "to_status", "expected"),
    [
        (None, S.INVITED, Moved((S.INVITED,))),
        (None, S.ACTIVE, Refused(Refusal.NOT_INVITED)),
        (Enrolment(S.INVITED), S.ACTIVE, Refused(Refusal.ILLEGAL)),
        (Enrolment(S.DOCUMENTS), S.SUSPENDED, Refused(Refusal.ILLEGAL)),
        (Enrolment(S.ACTIVE), S.SUSPENDED, Moved((S.SUSPENDED,), "safety")),
        (Enrolment(S.SUSPENDED, OPTED_OUT), S.SUSPENDED, Moved((), "safety")),
        (Enrolment(S.SUSPENDED, "safety"), S.ACTIVE, Moved((S.ACTIVE,))),
    ],
)
def test_what_operators_may_do(
    enrolment: Enrolment | None, to_status: EnrolmentStatus, expected: Moved | Refused
) -> None:
    assert on_ops(enrolment, to_status, "safety") == expected
