"""Why a driver's socket was closed; the range says what the app does next."""

from __future__ import annotations

from enum import Enum, IntEnum


class CloseCode(IntEnum):
    """4000–4499: come back and resume. 4500–4999: not again as you are."""

    INTERNAL = 4000
    RESTART = 4001
    SLOW_CONSUMER = 4008
    HEARTBEAT_MISSED = 4009
    RATE_LIMITED = 4029
    TOKEN_EXPIRED = 4401
    PROTOCOL_VIOLATION = 4500
    BAD_FRAMES = 4501
    FORBIDDEN = 4503
    REPLACED = 4509
    UPGRADE_REQUIRED = 4526
    DEACTIVATED = 4530


class Advice(Enum):
    """RESUME: reconnect with back-off and resume. REFRESH_TOKEN: get a new access token first, then resume.
    STOP: do not reconnect by yourself."""

    RESUME = "resume"
    REFRESH_TOKEN = "refresh_token"  # noqa: S105 – an advice, not a secret
    STOP = "stop"


def advice(code: int) -> Advice:
    """What a client does after its socket closed with this code; codes outside ours (network loss, proxies,
    a going-away server) mean resume, as do codes of later versions in the lower range."""
    if code == CloseCode.TOKEN_EXPIRED:
        return Advice.REFRESH_TOKEN
    return Advice.STOP if 4500 <= code <= 4999 else Advice.RESUME
