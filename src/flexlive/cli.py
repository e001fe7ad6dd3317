"""The command line: serve, demo, migrate, seed, token, market, audit, doctor. Each says what to do when it cannot."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

from cyclopts import App, Parameter
from rich.console import Console
from rich.markup import escape

from flexlive.conform_cli import conform
from flexlive.database_cli import database_cli
from flexlive.lab.options import DemoOptions
from flexlive.market_cli import market_cli

if TYPE_CHECKING:
    from flexlive.settings import Settings

cli = App(name="flexlive", help="Open backend for same-day delivery from local stores by gig drivers.")
seed_cli = App(name="seed", help="Fill a database with something to work with.")
token_cli = App(name="token", help="Issue a token and print it, once.")
cli.command(seed_cli)
cli.command(token_cli)
cli.command(market_cli)
cli.command(database_cli)
cli.command(conform)

_DEMO = DemoOptions()
DatabaseUrl = Annotated[
    str | None, Parameter(name="--database-url", help="PostgreSQL 15-18; without it an embedded one is started.")
]


def main() -> None:
    """Entry point: expected failures become one line on stderr and exit code 2."""
    try:
        sys.exit(cli(result_action="return_int_as_exit_code_else_zero"))
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        text = str(error) if isinstance(error, _expected()) else _of_database(error)
        if text is None:
            raise
        Console(stderr=True).print(f"[bold red]flexlive:[/] {escape(text)}", highlight=False, soft_wrap=True)
        sys.exit(2)


def _expected() -> tuple[type[Exception], ...]:
    """Failures whose text says what to do. Imported here: --help and the demo's first line come at once."""
    from flexlive.domain.errors import FlexliveError
    from flexlive.lab.conform.target import CannotJudgeError
    from flexlive.lab.options import DemoError
    from flexlive.market_client import MarketError
    from flexlive.serving import StartError
    from flexlive.settings import SettingsError
    from flexlive.storage.errors import DatabaseSetupError

    return CannotJudgeError, FlexliveError, DemoError, MarketError, StartError, SettingsError, DatabaseSetupError


def _of_database(error: Exception) -> str | None:
    from flexlive.storage import failures

    return failures.in_one_line(error)


def _settings(**overrides: object) -> Settings:
    from flexlive.settings import load

    return load(os.environ, **overrides)


@cli.command
def serve(
    *,
    host: str | None = None,
    port: int | None = None,
    database_url: DatabaseUrl = None,
    public_url: str | None = None,
    time_scale: float | None = None,
    processes: int | None = None,
    nats_url: str | None = None,
) -> None:
    """Run the server until Ctrl-C or SIGTERM. Migrates first; every setting is also a FLEXLIVE_ variable.

    Several processes share the port and talk over NATS, which is started for them unless there is a URL. SIGHUP to
    the first one then replaces them one after the other, by whatever version is installed.
    """
    from flexlive import serving
    from flexlive.processes import parent

    settings = _settings(
        host=host,
        port=port,
        database_url=database_url,
        public_url=public_url,
        time_scale=time_scale,
        processes=processes,
        nats_url=nats_url,
    )
    (serving if settings.processes == 1 else parent).serve(settings)


@cli.command(name="serve-process", show=False)
def serve_process(*, listener: int, parent: int) -> None:
    """One of the processes of `serve --processes N`, which starts it: on descriptors it hands over."""
    from flexlive.processes import child

    child.serve(_settings(), listener, parent)


@cli.command
def migrate(*, database_url: DatabaseUrl = None) -> None:
    """Bring the database to this version's schema; safe to run by several starters at once."""
    from flexlive import operations

    applied = asyncio.run(operations.migrate(_settings(database_url=database_url)))
    Console().print("\n".join(f"applied {name}" for name in applied) or "nothing to do: the schema is current")


@seed_cli.command(name="pilot-malls")
def seed_pilot_malls(*, database_url: DatabaseUrl = None, always_open: bool = False) -> None:
    """Create the three pilot malls (Las Vegas, Chandler, Tysons) with stores, merchants and service levels."""
    from flexlive import operations

    report = asyncio.run(operations.seed_pilot_malls(_settings(database_url=database_url), always_open=always_open))
    console = Console(soft_wrap=True)
    for mall in report.malls:
        console.print(f"{mall.market_id}: {mall.site_name}, check-in code {mall.check_in_code}")
        for store in mall.stores:
            console.print(f"  store {store.external_store_id} of {store.merchant}, hand-off code {store.handoff_code}")
    for merchant in report.merchants:
        key = merchant.api_key or "made before; keys are shown once"
        console.print(f"{merchant.name}: API key {key}", highlight=False)


@token_cli.command(name="ops")
def token_ops(*, database_url: DatabaseUrl = None, ttl_hours: int = 24) -> None:
    """A deployment-wide operations token."""
    from flexlive import operations

    sys.stdout.write(asyncio.run(operations.ops_token(_settings(database_url=database_url), ttl_hours)) + "\n")


@token_cli.command(name="driver")
def token_driver(market_id: str, driver_id: UUID, *, database_url: DatabaseUrl = None, ttl_hours: int = 12) -> None:
    """An access token of one driver, for trying the socket by hand."""
    from flexlive import operations

    settings = _settings(database_url=database_url)
    sys.stdout.write(asyncio.run(operations.driver_token(settings, market_id, driver_id, ttl_hours)) + "\n")


@cli.command
def doctor(*, database_url: DatabaseUrl = None) -> int:
    """Check this machine and this installation; the exit code counts what is broken."""
    from flexlive import doctor as checks

    return asyncio.run(checks.run(_settings(database_url=database_url), Console()))


@cli.command
def audit(*, database_url: DatabaseUrl = None) -> int:
    """Check a database against what must always hold; changes nothing. Exit code: 0 clean, 1 findings, 2 cannot."""
    from flexlive import operations
    from flexlive.lab.audit_table import print_audit

    report = asyncio.run(operations.audit(_settings(database_url=database_url)))
    print_audit(Console(), report)
    return 0 if report.clean else 1


@cli.command
def demo(
    *,
    drivers: int = _DEMO.drivers,
    orders: int = _DEMO.orders,
    seconds: float = _DEMO.seconds,
    seed: int = _DEMO.seed,
    speed: float = _DEMO.speed,
    port: int = _DEMO.port,
    database_url: DatabaseUrl = None,
    json: Path | None = None,
    serve: bool = False,
    day: Path | None = None,
    window: str | None = None,
    mishap_share: float = _DEMO.mishap_share,
    chaos: bool = False,
    view: Literal["auto", "live", "plain"] = "auto",
) -> int:
    """Everything at once: a database, the server, drivers, merchants and customers, then a summary.

    Parameters
    ----------
    drivers: simulated drivers over real WebSockets.
    orders: orders placed over HTTP.
    seconds: how long ordering lasts; afterwards the run drains.
    seed: same seed, same orders.
    speed: how many times faster than life.
    port: of the server; 0 takes a free one.
    database_url: PostgreSQL 15-18; without it an embedded one is started.
    json: write the summary there as JSON.
    serve: keep everything running after the summary until Ctrl-C.
    day: folder of a recorded day (mdrplib format) to play instead of random orders.
    window: HH:MM-HH:MM of the operating day.
    mishap_share: of the orders, what goes wrong on purpose (not on a recorded day).
    chaos: kill -9 the demo's own server and PostgreSQL at random moments, and bring them back.
    view: live picture, plain lines, or whichever fits the terminal.
    """
    Console().print("[bold]flexlive demo[/] is starting …")
    from flexlive.lab import demo as lab_demo

    options = DemoOptions(
        drivers=drivers,
        orders=orders,
        seconds=seconds,
        seed=seed,
        speed=speed,
        port=port,
        database_url=database_url or _settings().database_url,
        json_path=json,
        serve=serve,
        day=day,
        window=window,
        mishap_share=mishap_share,
        chaos=chaos,
        view=view,
    )
    return lab_demo.run(options)
