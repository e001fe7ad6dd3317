"""The HTTP twin of the driver socket's commands: the same frame in, the same bytes out, one effect whoever is first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Annotated, Final, cast, get_args
from uuid import UUID

from litestar import Response, Router, post
from litestar.datastructures import State
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.params import HeaderParameter

from flexlive.domain.errors import ErrorCode as E
from flexlive.domain.errors import FlexliveError
from flexlive.protocol.codec import BadFrame, InvalidCommand, decode_client, encode_result
from flexlive.protocol.driver import Command, CommandFrame, Result
from flexlive.protocol.limits import CMD_CHARS_MAX, FRAME_BYTES_MAX
from flexlive.protocol.rate_limit import TokenBucket
from flexlive.protocol.session import SessionLimits
from flexlive.services import commands
from flexlive.storage.group_commit import QueueFullError
from flexlive.web.auth import driver_of, require_driver
from flexlive.web.dependencies import Ctx
from flexlive.web.errors import AnyRequest, problems

DRIVERS_MAX: Final = 50_000
"""Whose pace is remembered; beyond it the longest quiet starts anew."""
QUEUE_FULL_RETRY_SECONDS: Final = 1

DeviceHeader = Annotated[
    str,
    HeaderParameter(
        name="flexlive-device",
        min_length=1,
        max_length=64,
        pattern=r"^[!-~]+(?![\s\S])",
        description="the `device_id` of the app's `hello`: a `cmd` is unique per device",
    ),
]


class TryLaterError(FlexliveError):
    """Nothing was done; the same request may be sent again."""

    def __init__(self, seconds: float) -> None:
        super().__init__(E.RATE_LIMITED)
        self.headers: Mapping[str, str] = {"retry-after": str(max(1, ceil(seconds)))}


class CommandPace:
    """How fast each driver may send commands over HTTP: as fast as over one socket."""

    def __init__(self, limits: SessionLimits) -> None:
        self._limits = limits
        self._buckets: dict[tuple[str, UUID], TokenBucket] = {}

    def take(self, market_id: str, driver_id: UUID, now: float) -> None:
        """now: monotonic seconds. TryLaterError for one command too many."""
        who = (market_id, driver_id)
        bucket = self._buckets.pop(who, None)
        if bucket is None:
            if len(self._buckets) >= DRIVERS_MAX:
                del self._buckets[next(iter(self._buckets))]
            bucket = TokenBucket(self._limits.commands_burst, self._limits.commands_per_minute / 60, now)
        self._buckets[who] = bucket
        if not bucket.take(now):
            raise TryLaterError(bucket.wait_seconds(now))


@dataclass
class _CommandFrame(Operation):
    """The frame as the socket takes it: read by the same decoder, so Litestar does not see a body."""

    def __post_init__(self) -> None:
        types = sorted(str(each.__struct_config__.tag) for each in get_args(Command))
        frame = Schema(
            type=OpenAPIType.OBJECT,
            description="a command of docs/driver-protocol.md",
            required=["type", "cmd"],
            properties={
                "type": Schema(type=OpenAPIType.STRING, enum=types),
                "cmd": Schema(type=OpenAPIType.STRING, min_length=1, max_length=CMD_CHARS_MAX, pattern="^[!-~]+$"),
            },
        )
        self.request_body = RequestBody(required=True, content={"application/json": OpenAPIMediaType(schema=frame)})


@post(
    "/v1/driver/commands",
    status_code=200,
    operation_id="sendCommand",
    operation_class=_CommandFrame,
    guards=[require_driver],
    request_max_body_size=FRAME_BYTES_MAX,
    responses=problems(
        (
            E.INVALID, E.UNAUTHORIZED, E.TOKEN_EXPIRED, E.DEACTIVATED, E.TOO_LARGE, E.RATE_LIMITED,
            E.DATABASE_UNAVAILABLE, E.OUTCOME_UNKNOWN,
        )
    ),
)  # fmt: skip
async def send_command(ctx: Ctx, state: State, request: AnyRequest, device: DeviceHeader) -> Response[Result]:
    """Send one command; the answer is its `result` frame, byte for byte what a socket would have been sent."""
    driver = driver_of(request)
    message = decode_client(await request.body())
    match message:
        case BadFrame():
            raise FlexliveError(E.INVALID, message.message)
        case CommandFrame() | InvalidCommand():
            pass
        case _:
            raise FlexliveError(E.INVALID, "only commands are sent over HTTP")
    pace: CommandPace = state.command_pace
    pace.take(driver.market_id, driver.driver_id, ctx.monotonic())
    if isinstance(message, InvalidCommand):
        return _result(encode_result(message.cmd, ok=False, code="invalid"))
    try:
        return _result(await commands.execute(ctx, driver, device, message))
    except QueueFullError:
        raise TryLaterError(QUEUE_FULL_RETRY_SECONDS) from None
    except FlexliveError as error:
        if error.entry.result_code is None:
            raise
        return _result(encode_result(message.cmd, ok=False, code=error.entry.result_code))


def _result(frame: bytes) -> Response[Result]:
    headers = {"cache-control": "no-store"}
    return cast("Response[Result]", Response(frame, media_type="application/json", headers=headers))


router = Router(path="/", route_handlers=[send_command], security=[{"driver": []}], tags=["driver"])
