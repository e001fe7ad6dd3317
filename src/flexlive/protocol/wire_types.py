"""The bounded scalars that frames are made of. A decoded value is inside its bounds; encoding checks nothing."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta

from flexlive.protocol.limits import CMD_CHARS_MAX, SEQ_MAX, VERSION_MAX

# `(?![\s\S])` is "end of text" in every regex dialect; `$` would let a trailing newline through.
Cmd = Annotated[str, Meta(min_length=1, max_length=CMD_CHARS_MAX, pattern=r"^[!-~]+(?![\s\S])")]
"""Printable ASCII without spaces, unique per device."""
DeviceId = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[!-~]+(?![\s\S])")]
SessionId = Annotated[str, Meta(min_length=1, max_length=64)]
Seq = Annotated[int, Meta(ge=0, le=SEQ_MAX)]
Version = Annotated[int, Meta(ge=1, le=VERSION_MAX)]
InboxSeq = Annotated[int, Meta(ge=0, le=SEQ_MAX)]
Lat = Annotated[float, Meta(ge=-90, le=90)]
Lon = Annotated[float, Meta(ge=-180, le=180)]
AccuracyM = Annotated[float, Meta(ge=0, le=100_000)]
SpeedMps = Annotated[float, Meta(ge=0, le=1_000)]
BearingDeg = Annotated[float, Meta(ge=0, le=360)]
Time = Annotated[datetime, Meta(tz=True)]
Code = Annotated[str, Meta(min_length=1, max_length=64)]
"""A hand-off code, PIN, barcode, reason code or any other short machine word."""
Label = Annotated[str, Meta(max_length=100)]
Note = Annotated[str, Meta(max_length=500)]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}(?![\s\S])")]

CheckInMethod = Literal["geofence", "store_qr", "code"]
PresenceMode = Literal["online", "offline"]
ProofKind = Literal["photo", "signature", "age"]
GoneReason = Literal["taken", "expired", "withdrawn", "lost"]
ResetReason = Literal["unknown_session", "other_epoch", "too_old"]
ResultCode = Literal[
    "ok", "won", "entered", "lost", "taken", "expired", "withdrawn", "conflict", "not_eligible", "not_found",
    "out_of_range", "wrong_package", "wrong_code", "illegal_transition", "rate_limited", "invalid",
]  # fmt: skip
