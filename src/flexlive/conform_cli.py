"""`flexlive conform URL`: does a backend, whoever wrote it, speak `flexlive.v1`?"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console


def conform(
    url: str = "",
    *,
    token: str | None = None,
    token2: str | None = None,
    position: str | None = None,
    offer_command: str | None = None,
    merchant_key: str | None = None,
    store: str | None = None,
    restart_command: str | None = None,
    scenario: list[str] | None = None,
    quick: bool = False,
    ca_file: Path | None = None,
    json: Path | None = None,
    list_: Annotated[bool, Parameter(name="--list")] = False,
) -> int:
    """Judge a driver backend from outside, by docs/driver-protocol.md. Exit code: 0 conforms, 1 does not, 2 cannot say.

    Parameters
    ----------
    url: https://host[:port], or the address of its driver socket.
    token: access token of a driver nobody else is using.
    token2: of a second such driver.
    position: LAT,LON where both say they are; offers must reach drivers there.
    offer_command: shell command that has one offer made for them.
    merchant_key: of a flexlive merchant, who then orders instead of that command.
    store: with it, the merchant's external_store_id.
    restart_command: shell command that stops the server in order and starts it again.
    scenario: only this one; may be repeated.
    quick: without the scenarios that wait for deadlines.
    ca_file: certificates to trust, PEM.
    json: write the report there as JSON.
    list_: say what is judged, and judge nothing.
    """
    import msgspec

    from flexlive.lab.conform import report as told
    from flexlive.lab.conform.run import judge
    from flexlive.lab.conform.target import CannotJudgeError, Target, addresses

    console = Console()
    if list_:
        told.print_scenarios(console)
        return 0
    if not url or token is None:
        raise CannotJudgeError("needs the server's address and --token, a driver's access token")
    socket_url, http_url = addresses(url)
    target = Target(
        socket_url=socket_url,
        http_url=http_url,
        tokens=(token,) if token2 is None else (token, token2),
        position=None if position is None else _place(position),
        offer_command=offer_command,
        merchant_key=merchant_key,
        store=store,
        restart_command=restart_command,
        ca_file=None if ca_file is None else str(ca_file),
    )
    report = asyncio.run(
        judge(
            target, only=scenario, quick=quick, said=lambda verdict: console.print(told.line(verdict), soft_wrap=True)
        )
    )
    console.print()
    told.print_report(console, report)
    if json is not None:
        json.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2))
    return 0 if report.conforms else 1


def _place(text: str) -> tuple[float, float]:
    from flexlive.lab.conform.target import CannotJudgeError

    try:
        lat, lon = (float(each) for each in text.split(","))
    except ValueError:
        raise CannotJudgeError(f"--position {text}: a place is LAT,LON in degrees") from None
    return lat, lon
