"""Where a driver's phones can be rung: registered by the app, forgotten with its login."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from flexlive.domain.errors import ErrorCode, FlexliveError
from flexlive.protocol import push_targets as wire
from flexlive.services.context import Context
from flexlive.services.drivers import DriverPrincipal
from flexlive.services.push_web import WebPush
from flexlive.services.wake_push import PushKind, PushProvider, Target
from flexlive.storage import drivers
from flexlive.storage import push_targets as rows
from flexlive.storage.transaction import transaction

DEVICES_MAX: Final = 5
"""Of one driver; the device registered longest ago goes."""
_APNS_TOKEN: Final = re.compile(r"[0-9A-Fa-f]{16,200}")


async def put(
    ctx: Context, providers: Mapping[PushKind, PushProvider], driver: DriverPrincipal, ask: wire.PutPushTarget
) -> wire.PushTarget:
    """Ring this device there from now on. FlexliveError(invalid) for a kind this server does not ring, or an address
    that cannot be one."""
    _check(providers, ask)
    now = ctx.clock()
    row = rows.TargetRow(
        kind=ask.kind,
        address=ask.address,
        driver_id=driver.driver_id,
        device_id=ask.device_id,
        family_id=driver.family_id,
        keys=None if ask.keys is None else msgspec.to_builtins(ask.keys),
        registered_at=now,
    )
    async with transaction(ctx.pool) as conn:
        await drivers.lock(conn, driver.market_id, [driver.driver_id])
        await rows.put(conn, driver.market_id, row, DEVICES_MAX)
    return wire.PushTarget(device_id=ask.device_id, kind=ask.kind, registered_at=now, alive=True)


async def delete(ctx: Context, driver: DriverPrincipal, device_id: str) -> None:
    """Do not ring this device any more. Repeating it changes nothing."""
    await rows.delete(ctx.pool, driver.market_id, driver.driver_id, device_id)


async def of_driver(
    ctx: Context, providers: Mapping[PushKind, PushProvider], driver: DriverPrincipal
) -> wire.PushTargets:
    """The driver's devices, newest first, and what an app needs to register one."""
    found = await rows.of_driver(ctx.pool, driver.market_id, driver.driver_id)
    web = providers.get("web_push")
    return wire.PushTargets(
        targets=tuple(
            wire.PushTarget(
                device_id=row["device_id"],
                kind=row["kind"],
                registered_at=row["registered_at"],
                alive=row["dead_at"] is None,
            )
            for row in found
        ),
        kinds=tuple(sorted(providers)),
        web_push_public_key=web.public_key if isinstance(web, WebPush) else None,
    )


def _check(providers: Mapping[PushKind, PushProvider], ask: wire.PutPushTarget) -> None:
    provider = providers.get(ask.kind)
    if provider is None:
        raise FlexliveError(ErrorCode.INVALID, f"this server rings {', '.join(sorted(providers))}")
    if (ask.kind == "web_push") != (ask.keys is not None):
        raise FlexliveError(ErrorCode.INVALID, "keys come with a web_push subscription, and with nothing else")
    if ask.kind == "apns" and not _APNS_TOKEN.fullmatch(ask.address):
        raise FlexliveError(ErrorCode.INVALID, "the address of an apns target is hexadecimal")
    if isinstance(provider, WebPush):
        target = Target(ask.address, None if ask.keys is None else msgspec.to_builtins(ask.keys))
        if not provider.takes(target):
            raise FlexliveError(ErrorCode.INVALID, "not a subscription of a push service this server knows")
