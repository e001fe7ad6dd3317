import pytest

from flexlive.domain.errors import CATALOGUE
from flexlive.protocol.close_codes import Advice, CloseCode, advice


def test_the_range_says_what_to_do():
    for code in CloseCode:
        expected = Advice.RESUME if code < 4500 else Advice.STOP
        assert advice(code) is (Advice.REFRESH_TOKEN if code == CloseCode.TOKEN_EXPIRED else expected)


@pytest.mark.parametrize("code", [1000, 1001, 1006, 1011, 1012, 4099])
def test_whatever_is_not_ours_means_come_back(code: int):
    assert advice(code) is Advice.RESUME


def test_every_close_code_of_the_error_catalogue_is_one_of_these():
    codes = {entry.close_code for entry in CATALOGUE.values() if entry.close_code is not None}
    assert codes <= {code.value for code in CloseCode}
