"""What someone sees while the play runs: steps as lines, and a live panel where there is a terminal for it."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from types import TracebackType
from typing import Literal, Self

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from flexlive.domain.deliveries import CUSTODY, TERMINAL, DeliveryStatus
from flexlive.lab.book import Book, OrderStory
from flexlive.lab.fleet_messages import Tally
from flexlive.lab.stats import Percentiles, percentiles
from flexlive.lab.summary import Samples

EVENTS_SHOWN_MAX = 8
PLAIN_LINE_SECONDS = 2.0
ViewKind = Literal["auto", "live", "plain"]


def wants_live(kind: ViewKind, console: Console) -> bool:
    """A live panel only for a person at a terminal, unless asked for by name."""
    return kind == "live" or (kind == "auto" and console.is_terminal and "CI" not in os.environ)


class View:
    """`with View(kind) as view:`; everything printed goes through it."""

    def __init__(self, kind: ViewKind, console: Console | None = None) -> None:
        self.console = console or Console()
        self._live = (
            Live(console=self.console, auto_refresh=False, transient=True) if wants_live(kind, self.console) else None
        )
        self._begun_at = time.monotonic()
        self._line_at = 0.0
        self._offer_seen = False
        self._events: deque[str] = deque(maxlen=EVENTS_SHOWN_MAX)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.panel_ends()

    @property
    def seconds(self) -> float:
        """Since the command began."""
        return time.monotonic() - self._begun_at

    def step(self, text: str) -> None:
        """One line that stays."""
        self.console.print(f"[dim]{self.seconds:6.1f}s[/]  {text}", highlight=False, soft_wrap=True)

    def first_offer(self, seconds: float) -> None:
        """The moment a newcomer waits for; said once, whatever fleets follow."""
        if not self._offer_seen:
            self._offer_seen = True
            self.step(f"[bold]first offer on a phone[/], {seconds:.1f} s after the command")

    def event(self, text: str) -> None:
        """Something that happened; the last few are in the panel."""
        self._events.append(f"{self.seconds:6.1f}s  {text}")

    def panel_begins(self) -> None:
        if self._live is not None:
            self._live.start()

    def panel_ends(self) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, phase: str, book: Book, samples: Samples) -> None:
        """The present picture: as a panel, or as a line every PLAIN_LINE_SECONDS."""
        if self._live is not None and self._live.is_started:
            self._live.update(self._panel(phase, book, samples), refresh=True)
        elif time.monotonic() - self._line_at >= PLAIN_LINE_SECONDS:
            self._line_at = time.monotonic()
            self.step(plain_line(phase, book, samples.last))

    def _panel(self, phase: str, book: Book, samples: Samples) -> Panel:
        figures = Text(
            "   ".join(
                (
                    f"offer → phone {_ms(percentiles(samples.push_ms))}",
                    f"tap → answer {_ms(percentiles(samples.accept_ms))}",
                    driver_line(samples.last),
                )
            )
        )
        events = Text("\n".join(self._events) or " ", style="dim")
        return Panel(Group(market_table(book), figures, events), title=f"flexlive demo: {phase}", title_align="left")


def market_table(book: Book) -> Table:
    """Orders per market, by how far they are."""
    table = Table(box=None, pad_edge=False)
    for heading in ("market", "ordered", "waiting", "driver coming", "on the way", "delivered", "otherwise"):
        table.add_column(heading, justify="left" if heading == "market" else "right", min_width=9)
    by_market: dict[str, list[OrderStory]] = {}
    for order in book.created:
        by_market.setdefault(order.market_id, []).append(order)
    for market_id, orders in sorted(by_market.items()):
        table.add_row(market_id, *map(str, stages(orders)))
    return table


def stages(orders: list[OrderStory]) -> tuple[int, int, int, int, int, int]:
    """(ordered, waiting for a driver, driver coming, on the way, delivered, ended otherwise), as the pages say."""
    said = Counter(_stage(order) for order in orders)
    return len(orders), said["waiting"], said["coming"], said["riding"], said["delivered"], said["otherwise"]


def _stage(order: OrderStory) -> str:
    status = DeliveryStatus(order.page.status) if order.page is not None and order.page.status else None
    if status is None or status is DeliveryStatus.CREATED:
        return "waiting"
    if status is DeliveryStatus.DELIVERED:
        return "delivered"
    if status in TERMINAL:
        return "otherwise"
    return "riding" if status in CUSTODY else "coming"


def plain_line(phase: str, book: Book, tally: Tally | None) -> str:
    """The picture in one line."""
    ordered, waiting, coming, riding, delivered, otherwise = stages(book.created)
    return (
        f"{phase}: {ordered} ordered, {waiting} waiting, {coming} driver coming, {riding} on the way, "
        f"{delivered} delivered, {otherwise} ended otherwise; {driver_line(tally)}"
    )


def driver_line(tally: Tally | None) -> str:
    if tally is None:
        return "drivers not there yet"
    return f"{tally.online} drivers online, {tally.busy} busy, {tally.errors} errors"


def _ms(figures: Percentiles) -> str:
    return "–" if figures.p50 is None or figures.p99 is None else f"{figures.p50:.1f} / {figures.p99:.1f} ms (p50/p99)"
