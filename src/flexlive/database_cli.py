"""`flexlive database …`: PostgreSQL's own programs against our database, and what it must be told after a restore."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Annotated

from cyclopts import App, Parameter

database_cli = App(
    name="database", help="Back up, restore and look at the database with PostgreSQL's own programs.", version_flags=[]
)

DatabaseUrl = Annotated[
    str | None, Parameter(name="--database-url", help="PostgreSQL 15-18; without it the embedded one is meant.")
]


@database_cli.command
def run(
    *command: Annotated[str, Parameter(allow_leading_hyphen=True, help="psql, pg_dump, pg_basebackup …")],
    database_url: DatabaseUrl = None,
) -> int:
    """Run a program with PGHOST, PGPASSWORD and the like set, so that it needs no address; its exit code is ours.

    The embedded database is used while the server runs, and started for as long as the program runs when it does
    not; its own programs come first in PATH. Example: flexlive database run -- pg_dump --format=custom --file=F
    """
    from flexlive import operations
    from flexlive.settings import load

    return asyncio.run(operations.run_program(load(os.environ, database_url=database_url), command))


@database_cli.command
def restored(*, database_url: DatabaseUrl = None) -> None:
    """Say that the database is a copy put back from earlier: customers' pages start anew instead of missing something.

    Needed only where PostgreSQL cannot tell by itself: a disk snapshot, a copied directory. Stop every server first.
    """
    from flexlive import operations
    from flexlive.settings import load

    epoch = asyncio.run(operations.renew_epoch(load(os.environ, database_url=database_url)))
    sys.stdout.write(f"new epoch {epoch.hex}\n")
