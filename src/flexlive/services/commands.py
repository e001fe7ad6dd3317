"""A driver's command: one effect and one answer, whatever the transport and however often it is sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from flexlive.protocol.driver import (
    CheckIn,
    Command,
    Deliver,
    Depart,
    EnrolmentAnswer,
    IncidentReport,
    OfferAccept,
    OfferDecline,
    PickupConfirm,
    PresenceSet,
    ProofAdd,
    ReturnConfirm,
    RouteForfeit,
    Scan,
)
from flexlive.services import (
    check_in,
    doors,
    drivers,
    enrolment_steps,
    forfeits,
    incidents,
    late_commands,
    offers,
    pickups,
    returns,
    scans,
)
from flexlive.services.answers import OK, Answer, request_sha256, result_body
from flexlive.services.context import Context
from flexlive.services.drivers import DriverPrincipal
from flexlive.services.offers import AcceptItem
from flexlive.storage import command_results
from flexlive.storage import drivers as driver_rows
from flexlive.storage.command_results import CommandKey, StoredResult
from flexlive.storage.pool import Connection
from flexlive.storage.transaction import transaction


async def execute(ctx: Context, principal: DriverPrincipal, device_id: str, command: Command) -> bytes:
    """The body of the `result` frame. A retry of the same cmd gets the stored bytes, other content `conflict`.

    Only decided outcomes are stored. Raises OutcomeUnknownError when COMMIT was not answered, QueueFullError when
    too many commands wait, and the database's own errors; none of these stored anything that is not in the database.
    """
    if isinstance(command, OfferAccept):
        return await offers.accept(ctx, AcceptItem(principal, device_id, command))
    key = CommandKey(principal.driver_id, device_id, command.cmd)
    sha256 = request_sha256(command)
    async with transaction(ctx.pool) as conn:
        await driver_rows.lock(conn, principal.market_id, [principal.driver_id])
        stored = (await command_results.known(conn, principal.market_id, [key])).get(key)
        if stored is not None:
            return stored.body if stored.request_sha256 == sha256 else result_body(command.cmd, Answer("conflict"))
        answer = await _decide(ctx, conn, principal, command)
        body = result_body(command.cmd, answer)
        if not answer.ok:
            await late_commands.record(ctx, conn, principal, command, answer, ctx.clock())
        await command_results.insert(conn, principal.market_id, [(key, StoredResult(sha256, body))], ctx.clock())
    ctx.committed(principal.market_id)
    return body


async def stored_results(
    ctx: Context, principal: DriverPrincipal, device_id: str, cmds: Sequence[str]
) -> dict[str, bytes]:
    """The stored answers among these cmds, for a phone that reconnects; a cmd that is missing was never decided."""
    keys = [CommandKey(principal.driver_id, device_id, cmd) for cmd in cmds]
    async with ctx.pool.acquire() as conn:
        found = await command_results.known(conn, principal.market_id, keys)
    return {key.cmd: stored.body for key, stored in found.items()}


async def _decide(ctx: Context, conn: Connection, principal: DriverPrincipal, command: Command) -> Answer:
    now = ctx.clock()
    match command:
        case PresenceSet():
            await drivers.set_presence(conn, principal, command.mode, command.filters, now)
            return OK
        case OfferDecline():
            return await offers.decline(conn, principal, command, now)
        case CheckIn():
            return await check_in.check_in(ctx, conn, principal, command, now)
        case Depart():
            return await check_in.depart(ctx, conn, principal, command, now)
        case Scan():
            return await scans.scan(ctx, conn, principal, command, now)
        case PickupConfirm():
            return await pickups.confirm(ctx, conn, principal, command, now)
        case ProofAdd():
            return await doors.add_proof(ctx, conn, principal, command, now)
        case Deliver():
            return await doors.deliver(ctx, conn, principal, command, now)
        case OfferAccept():
            raise AssertionError("accepts are committed in groups")
        case IncidentReport():
            return await incidents.report(ctx, conn, principal, command, now)
        case ReturnConfirm():
            return await returns.confirm(ctx, conn, principal, command, now)
        case RouteForfeit():
            return await forfeits.forfeit(ctx, conn, principal, command, now)
        case EnrolmentAnswer():
            return await enrolment_steps.answer(conn, principal, command, now)
        case _:
            assert_never(command)
