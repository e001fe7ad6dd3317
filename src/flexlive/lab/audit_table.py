"""An audit's answer for people."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flexlive.storage.audit import AuditReport

FINDINGS_SHOWN_MAX = 5


def print_audit(console: Console, report: AuditReport) -> None:
    """Every check with its count, the first findings of each, and the verdict."""
    table = Table(box=None, pad_edge=False)
    for heading in ("check", "promise", "findings"):
        table.add_column(heading, justify="right" if heading == "findings" else "left")
    for result in report.results:
        colour = "bold red" if result.count else "green"
        table.add_row(result.check, result.promise, f"[{colour}]{result.count}[/]")
    console.print(table)
    for result in report.results:
        for finding in result.findings[:FINDINGS_SHOWN_MAX]:
            console.print(
                f"[red]{finding.check}[/] in {finding.market_id}: {escape(finding.row)}",
                highlight=False,
                soft_wrap=True,
            )
        if result.count > FINDINGS_SHOWN_MAX:
            console.print(f"  … and {result.count - FINDINGS_SHOWN_MAX} more")
    console.print(verdict(report))


def verdict(report: AuditReport) -> str:
    """One line."""
    count = sum(result.count for result in report.results)
    where = f"{len(report.results)} checks on {len(report.markets)} markets"
    return f"[bold red]Not clean:[/] {count} findings, {where}." if count else f"[bold green]Clean:[/] {where}."
