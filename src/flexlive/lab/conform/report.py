"""A conformance report for people."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flexlive.lab.conform.run import SCENARIOS, Report
from flexlive.lab.conform.scenario import Verdict

_COLOURS = {"passed": "green", "failed": "bold red", "skipped": "yellow"}


def line(verdict: Verdict) -> str:
    """One verdict as it is reached."""
    colour = _COLOURS[verdict.outcome]
    detail = f": {escape(verdict.detail)}" if verdict.detail else ""
    return f"[{colour}]{verdict.outcome:<7}[/] {verdict.name}{detail}"


def print_report(console: Console, report: Report) -> None:
    """Every scenario with the section it judges, what was heard before a failure, and the verdict."""
    table = Table(box=None, pad_edge=False)
    table.add_column("section")
    table.add_column("scenario")
    table.add_column("outcome")
    table.add_column("s", justify="right")
    table.add_column("promise")
    for each in report.scenarios:
        outcome = f"[{_COLOURS[each.outcome]}]{each.outcome}[/]"
        table.add_row(each.section, each.name, outcome, f"{each.seconds:.1f}", escape(each.detail or each.promise))
    console.print(table)
    for each in report.scenarios:
        if each.outcome == "failed":
            console.print(f"\n[bold red]{each.name}[/] – {escape(each.section)}: {escape(each.promise)}")
            console.print(f"  {escape(each.detail)}", highlight=False, soft_wrap=True)
            for frame in each.evidence:
                console.print(f"  heard {escape(frame)}", highlight=False, soft_wrap=True)
    console.print(verdict(report))


def verdict(report: Report) -> str:
    """One line."""
    counts = f"{report.passed} passed, {report.failed} failed, {report.skipped} skipped in {report.seconds:.0f} s"
    if report.conforms:
        return f"[bold green]Conforms[/] to {report.protocol}: {counts}."
    return f"[bold red]Does not conform[/] to {report.protocol}: {counts}."


def print_scenarios(console: Console) -> None:
    """What is judged, without judging it."""
    for scenario in SCENARIOS:
        needs = ", ".join(sorted(scenario.needs))
        note = " ".join(
            f"({each})" for each in (f"needs {needs}" if needs else "", "slow" if scenario.slow else "") if each
        )
        console.print(
            f"{scenario.name:<26}{scenario.section:<28}{escape(scenario.promise)} {note}".rstrip(),
            highlight=False,
            soft_wrap=True,
        )
