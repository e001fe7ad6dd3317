"""The summary for people."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flexlive.lab.pilot_play import PilotFigures
from flexlive.lab.stats import Percentiles
from flexlive.lab.summary import ChaosFigures, Summary

TEXTS_SHOWN_MAX = 10


def print_summary(console: Console, summary: Summary) -> None:
    """A table, then what is open and what went wrong, then the verdict."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    for name, value in rows(summary):
        table.add_row(name, value)
    console.print()
    console.print(table)
    _listing(console, "Still open", summary.open_orders, "yellow")
    _listing(console, "Errors", summary.error_texts, "red")
    _listing(console, "Broken promises", summary.violations, "bold red")
    console.print(verdict(summary))


def rows(summary: Summary) -> list[tuple[str, str]]:
    accepted = summary.orders_accepted / summary.orders_created if summary.orders_created else 0.0
    day = summary.day
    share = "–" if day.delivered_share is None else f"{day.delivered_share:.1%}"
    return [
        (
            "scenario",
            f"{escape(summary.scenario)}, {summary.drivers} drivers, speed {summary.speed:g}, seed {summary.seed}",
        ),
        ("orders", f"{summary.orders_created} created, {summary.orders_accepted} accepted ({accepted:.1%})"),
        (
            "offers",
            f"{summary.offers_opened} opened, shown {summary.offers_shown} times, {summary.offers_accepted} won",
        ),
        ("refused accepts", f"{summary.accepts_refused} {summary.refusals or ''}"),
        ("delivered", f"{summary.deliveries_delivered} ({share}), {summary.orders_open} open"),
        ("outcomes", _counts(summary.outcomes)),
        ("offer on the phone", _span(summary.offer_push_ms, "ms")),
        ("tap to answer", _span(summary.accept_ms, "ms")),
        ("… of it the lab's", _span(summary.lab_late_ms, "ms")),
        ("order to driver", _span(summary.order_to_accept_ms, "ms")),
        ("click to door", _span(day.click_to_door_minutes, "min of the play")),
        ("ready to pick-up", _span(day.ready_to_pickup_minutes, "min of the play")),
        ("tracking", f"{summary.tracking_events} facts, {summary.tracking_holes} holes"),
        ("on purpose", _counts(summary.mishaps)),
        ("operators", _counts(summary.decisions)),
        *_pilot_rows(summary.pilot),
        *_chaos_rows(summary.chaos),
        ("answers", f"{summary.answers_checked} compared with what is stored"),
        ("audit", f"{summary.audit_checks} checks, {summary.audit_findings} findings"),
        ("double accepts", str(summary.double_accepts)),
        ("errors", str(summary.errors)),
        ("broken promises", str(summary.violation_count)),
        ("wall time", f"{summary.wall_seconds:.1f} s"),
    ]


def _pilot_rows(pilot: PilotFigures | None) -> list[tuple[str, str]]:
    if pilot is None:
        return []
    funnel = f"{pilot.sent} sent, {pilot.seen} seen, {pilot.opted_in} opted in, {pilot.first_accept} took a first offer"
    return [
        ("notice", f"{pilot.market_id}: {funnel}"),
        *((("pilot" if not number else ""), escape(line)) for number, line in enumerate(pilot.effects)),
    ]


def _chaos_rows(chaos: ChaosFigures | None) -> list[tuple[str, str]]:
    if chaos is None:
        return []
    never = f"never: {len(chaos.lagging)} clients"
    return [
        ("kill -9", f"{chaos.server_kills} of the server, {chaos.database_kills} of PostgreSQL"),
        (
            "in step again",
            f"all {chaos.clients} clients {chaos.converge_seconds:.1f} s after the last kill"
            if chaos.converge_seconds is not None
            else never,
        ),
    ]


def verdict(summary: Summary) -> str:
    if summary.ok:
        return "[bold green]Clean:[/] what phones and pages saw is what the database holds."
    return f"[bold red]Not clean:[/] {summary.violation_count} broken promises, {summary.errors} errors."


def _counts(counted: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {escape(name)}" for name, count in counted.items()) or "none"


def _span(figures: Percentiles, unit: str) -> str:
    if figures.p50 is None:
        return "no samples"
    return f"p50 {figures.p50:.1f}, p99 {figures.p99:.1f}, max {figures.max:.1f} {unit} ({figures.count} samples)"


def _listing(console: Console, title: str, texts: tuple[str, ...], style: str) -> None:
    if texts:
        console.print(f"[{style}]{title}:[/]")
        for text in texts[:TEXTS_SHOWN_MAX]:
            console.print(f"  {escape(text)}", highlight=False, soft_wrap=True)
        if len(texts) > TEXTS_SHOWN_MAX:
            console.print(f"  … and {len(texts) - TEXTS_SHOWN_MAX} more")
