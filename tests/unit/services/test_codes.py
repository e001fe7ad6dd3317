"""Labels, PINs and counter codes: readable, checkable, and different for different secrets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flexlive.services import codes

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
secrets = st.text(min_size=1, max_size=43)


@given(secrets, st.integers(0, 50))
def test_a_label_checks_itself(secret: str, index: int) -> None:
    label = codes.package_label(secret, index)
    assert len(label) == 14
    assert label.startswith("FL")
    assert codes.is_package_label(label)


@given(secrets, st.integers(2, 13), st.sampled_from(ALPHABET))
def test_one_wrong_character_shows(secret: str, place: int, char: str) -> None:
    label = codes.package_label(secret, 0)
    typed = label[:place] + char + label[place + 1 :]
    assert codes.is_package_label(typed) is (typed == label)


@given(secrets, st.integers(2, 11))
def test_swapped_neighbours_show_but_for_one_pair(secret: str, place: int) -> None:
    label = codes.package_label(secret, 0)
    typed = label[:place] + label[place + 1] + label[place] + label[place + 2 :]
    if typed != label and {label[place], label[place + 1]} != {"0", "Z"}:
        assert not codes.is_package_label(typed)


def test_what_is_no_label() -> None:
    for text in ("", "FL", "FL" + "0" * 11, "XX" + "0" * 12, "FL" + "0" * 11 + "1", "FL" + "U" * 12, "FL" + "0" * 13):
        assert not codes.is_package_label(text)


def test_labels_and_codes_differ() -> None:
    labels = {codes.package_label(f"secret {number}", index) for number in range(200) for index in range(10)}
    assert len(labels) == 2000
    pins = {codes.digits(f"secret {number}", "pincode", 4) for number in range(3000)}
    assert all(len(pin) == 4 and pin.isdigit() for pin in pins)
    assert len(pins) > 2000
    assert codes.digits("a", "pincode", 6) != codes.digits("a", "hand-off", 6)
