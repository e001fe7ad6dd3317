from __future__ import annotations

from http import HTTPStatus

import pytest

from flexlive.domain.errors import CATALOGUE, RESULT_CODES, ErrorCode, FlexliveError

CLOSE_CODES = {4000, 4001, 4008, 4009, 4029, 4401, 4500, 4501, 4503, 4509, 4526, 4530}


def test_every_code_has_an_entry() -> None:
    assert set(CATALOGUE) == set(ErrorCode)


@pytest.mark.parametrize("code", ErrorCode)
def test_an_entry_speaks_the_languages_of_http_and_of_the_protocol(code: ErrorCode) -> None:
    entry = CATALOGUE[code]
    assert 400 <= HTTPStatus(entry.http_status) <= 599
    assert entry.title
    assert entry.result_code is None or entry.result_code in RESULT_CODES
    assert entry.close_code is None or entry.close_code in CLOSE_CODES


@pytest.mark.parametrize("code", [code for code in ErrorCode if code.value in RESULT_CODES])
def test_a_code_that_is_also_a_result_code_answers_as_itself(code: ErrorCode) -> None:
    assert CATALOGUE[code].result_code == code.value


@pytest.mark.parametrize("code", [ErrorCode.INTERNAL, ErrorCode.OUTCOME_UNKNOWN, ErrorCode.DATABASE_UNAVAILABLE])
def test_undecided_outcomes_are_never_results(code: ErrorCode) -> None:
    assert CATALOGUE[code].result_code is None
    assert CATALOGUE[code].close_code == 4000


def test_an_error_carries_code_detail_and_fields() -> None:
    error = FlexliveError(ErrorCode.CONFLICT, "another body", external_delivery_id="A1")
    assert (error.code, error.detail, error.fields) == (
        ErrorCode.CONFLICT,
        "another body",
        {"external_delivery_id": "A1"},
    )
    assert error.entry.http_status == 409
    assert str(FlexliveError(ErrorCode.TAKEN)) == CATALOGUE[ErrorCode.TAKEN].title
