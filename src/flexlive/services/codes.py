"""Short words for people and scanners, drawn from a 256-bit secret: PINs, counter codes, package labels. Pure."""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import Final

LABEL_PREFIX: Final = "FL"
LABEL_DATA_CHARS: Final = 11
LABEL_CHARS: Final = len(LABEL_PREFIX) + LABEL_DATA_CHARS + 1
PINCODE_DIGITS: Final = 4
COUNTER_CODE_DIGITS: Final = 6

_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def digits(secret: str, purpose: str, count: int) -> str:
    """A decimal code of that length; another purpose gives an unrelated one."""
    return f"{_draw(secret, purpose) % 10**count:0{count}d}"


def package_label(secret: str, index: int) -> str:
    """`FL`, 55 drawn bits in Crockford's base 32 (no I, L, O, U), and a check character."""
    number = _draw(secret, f"label {index}")
    data = "".join(_CROCKFORD[(number >> 5 * place) & 31] for place in range(LABEL_DATA_CHARS))
    return LABEL_PREFIX + data + check_character(data)


def is_package_label(text: str) -> bool:
    """Whether text is a label of ours without a typing mistake."""
    data = text[len(LABEL_PREFIX) : -1]
    return (
        len(text) == LABEL_CHARS
        and text.startswith(LABEL_PREFIX)
        and all(char in _CROCKFORD for char in data)
        and text[-1] == check_character(data)
    )


def check_character(data: str) -> str:
    """Luhn's sum to base 32: every single wrong character shows, and nearly every swap of neighbours."""
    total = 0
    for place, char in enumerate(reversed(data)):
        value = _CROCKFORD.index(char) * (2 if place % 2 == 0 else 1)
        total += value // 32 + value % 32
    return _CROCKFORD[-total % 32]


def _draw(secret: str, purpose: str) -> int:
    return int.from_bytes(hmac.digest(secret.encode(), purpose.encode(), sha256))
