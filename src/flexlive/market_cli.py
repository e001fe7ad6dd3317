"""`flexlive market …`: open a market, tell its drivers, run a pilot, stop it, see what it has shown.

Talks to a running server over HTTP, so that an operator needs a token and no database.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID

from cyclopts import App, Parameter

market_cli = App(name="market", help="Open a market at a running server, and run pilots in it.")

Server = Annotated[str, Parameter(name="--server", help="Where the server answers.")]
Token = Annotated[str | None, Parameter(name="--token", env_var="OPS", help="An operator's token.")]
Reason = Annotated[str, Parameter(name="--reason", help="A published reason code.")]
_SERVER = "http://127.0.0.1:8000"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


@market_cli.command(name="open")
def open_market(plan: Path, *, server: Server = _SERVER, token: Token = None) -> None:
    """Create what a plan (JSON) names and the server lacks; API keys and codes are printed once. Safe to repeat."""
    from flexlive import market_client

    with market_client.connect(server, token) as client:
        client.open(market_client.read_plan(plan), _say)


@market_cli.command
def notice(
    market_id: str,
    *,
    title: str,
    body: str,
    offer_type: str | None = None,
    cell: list[str] | None = None,
    driver: list[UUID] | None = None,
    pilot: UUID | None = None,
    arm: Literal["cohort", "control"] = "cohort",
    days: float = 14.0,
    server: Server = _SERVER,
    token: Token = None,
) -> None:
    """Send a text to a market's drivers: to all, to --cell …, to --driver …, or to an arm of --pilot.

    Parameters
    ----------
    offer_type: what it invites to; whoever gets it may answer.
    cell: H3 cells of the market's offer resolution; drivers who were there last.
    days: until it expires.
    """
    from flexlive import market_client

    with market_client.connect(server, token) as client:
        sent = client.ask(
            "POST",
            f"/v1/ops/markets/{market_id}/notices",
            {
                "title": title,
                "body": body,
                "offer_type": offer_type,
                "audience": market_client.audience(cell, driver, pilot, arm),
                "expires_at": datetime.now(UTC) + timedelta(days=days),
            },
        )
    _say(f"notice {sent['notice_id']}: sent to {sent['sent']} drivers")


@market_cli.command
def pilot(
    market_id: str,
    name: str,
    *,
    offer_type: str = "retail_delivery",
    site: list[UUID] | None = None,
    merchant: list[UUID] | None = None,
    cohort_share: float = 0.5,
    control_share: float = 0.5,
    days: float = 28.0,
    server: Server = _SERVER,
    token: Token = None,
) -> None:
    """Start a pilot now, its arms drawn by lot among the market's drivers.

    Parameters
    ----------
    site: pickup sites it is about; all when left out.
    merchant: merchants it is about; all when left out.
    cohort_share: of the drivers, who are shown the work.
    control_share: of the drivers, whom they are compared with.
    days: how long it runs.
    """
    from flexlive import market_client

    with market_client.connect(server, token) as client:
        made = client.ask(
            "POST",
            f"/v1/ops/markets/{market_id}/pilots",
            {
                "name": name,
                "offer_type": offer_type,
                "site_ids": site or [],
                "merchant_ids": merchant or [],
                "ends_at": datetime.now(UTC) + timedelta(days=days),
                "split": {"cohort_share": cohort_share, "control_share": control_share},
            },
        )
    _say(f"pilot {made['pilot_id']}: {made['cohort_drivers']} in the cohort, {made['control_drivers']} in the control")


@market_cli.command
def kill(
    market_id: str,
    pilot_id: UUID,
    *,
    reason: Reason = "ops_decision",
    note: str = "",
    server: Server = _SERVER,
    token: Token = None,
) -> None:
    """Stop new offers of a pilot at once; routes finish."""
    from flexlive import market_client

    with market_client.connect(server, token) as client:
        path = f"/v1/ops/markets/{market_id}/pilots/{pilot_id}/kill"
        killed = client.ask("POST", path, {"reason_code": reason, "note": note})
    _say(f"pilot {killed['pilot']['name']} is stopped: {killed['offers_withdrawn']} open offers withdrawn")


@market_cli.command
def resume(
    market_id: str,
    pilot_id: UUID,
    *,
    reason: Reason = "ops_decision",
    note: str = "",
    server: Server = _SERVER,
    token: Token = None,
) -> None:
    """Take a pilot's stop back."""
    from flexlive import market_client

    with market_client.connect(server, token) as client:
        path = f"/v1/ops/markets/{market_id}/pilots/{pilot_id}/resume"
        resumed = client.ask("POST", path, {"reason_code": reason, "note": note})
    _say(f"pilot {resumed['name']} is {resumed['status']}")


@market_cli.command
def report(market_id: str, pilot_id: UUID, *, server: Server = _SERVER, token: Token = None) -> None:
    """What a pilot has shown: the funnel from notice to first accept, and the cohort against the control."""
    import msgspec

    from flexlive import market_client
    from flexlive.protocol.ops_market import PilotReport

    with market_client.connect(server, token) as client:
        answer = client.ask("GET", f"/v1/ops/markets/{market_id}/pilots/{pilot_id}/report")
    told = msgspec.convert(answer, PilotReport)
    _say(f"{told.pilot.name} ({told.pilot.status}), {told.from_at:%Y-%m-%d %H:%M} – {told.to_at:%Y-%m-%d %H:%M} UTC")
    for line in (*market_client.funnel_lines(told.funnel), "", *market_client.effect_lines(told)):
        _say(line)
