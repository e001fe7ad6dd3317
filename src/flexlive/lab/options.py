"""What `flexlive demo` may be asked for. Imports nothing heavy: the command line reads its defaults here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """One play.

    drivers, orders: how many (a recorded day brings its own). seconds: wall length of ordering (a recorded day's window
    divided by speed). speed: policy seconds per wall second. port: 0 takes a free one; a taken default port gives way.
    window: HH:MM-HH:MM of the operating day. drain_seconds_max: how long unfinished orders are waited for.
    mishap_share: of the orders at the pilot malls, what goes wrong on purpose. chaos: kill the play's own server and
    PostgreSQL at random moments.
    """

    drivers: int = 60
    orders: int = 40
    seconds: float = 45.0
    seed: int = 1
    speed: float = 60.0
    port: int = 8000
    database_url: str | None = None
    json_path: Path | None = None
    serve: bool = False
    day: Path | None = None
    window: str | None = None
    mishap_share: float = 0.2
    chaos: bool = False
    view: Literal["auto", "live", "plain"] = "auto"
    drain_seconds_max: float = 150.0
    location_seconds: float = 2.0
    start_seconds_max: float = 60.0

    def check(self) -> None:
        """What would only be noticed minutes later otherwise. Raises DemoError."""
        if self.speed <= 0 or self.seconds <= 0:
            raise DemoError("--speed and --seconds must be above zero")
        if self.drivers < 1 or self.orders < 0:
            raise DemoError("--drivers must be at least 1 and --orders at least 0")
        if not 0 <= self.mishap_share <= 1:
            raise DemoError("--mishap-share must lie between 0 and 1")
        if self.chaos and self.database_url is not None:
            raise DemoError("--chaos kills PostgreSQL too: it plays with one of its own, not with --database-url")
        if self.json_path is not None and not self.json_path.absolute().parent.is_dir():
            raise DemoError(f"the folder of {self.json_path} does not exist")


class DemoError(Exception):
    """The demo cannot be played; str() says why and what to do."""
