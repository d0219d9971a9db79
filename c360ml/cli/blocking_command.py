"""`c360ml blocking`: which rules bring records of a file together, what they cost, and what they miss."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from c360ml.cli.commands import File, Out, app, console, parse_columns

if TYPE_CHECKING:
    from c360ml.pipeline.one_blocking import BlockedTable

_MOST_LEFT_OUT = 10


@app.command()
def blocking(
    file: File,
    id: Annotated[str, typer.Option(help="Column that tells rows apart.")],
    columns: Annotated[str, typer.Option(help='Roles of columns: "given_name=first_name,surname=last_name,...".')],
    source: Annotated[str | None, typer.Option(help="Column that names the source of a row.")] = None,
    truth: Annotated[str | None, typer.Option(help="Column with the true identity, for the true recall only.")] = None,
    out: Out = Path("blocked"),
) -> None:
    """Show which blocking rules a table of people needs: pairs, matches found, hot keys, hubs, estimated recall."""
    from c360ml.cli.progress import one_bar
    from c360ml.dashboards.blocking_report import write_blocking_report
    from c360ml.pipeline.one_blocking import block_table

    with one_bar(console, "Block") as say:
        blocked = block_table(file, id=id, columns=parse_columns(columns), source=source, truth=truth, out=out, say=say)
        say("writing report.html")
        page = write_blocking_report(blocked)
    for table in (_rules(blocked.report), _totals(blocked, page)):
        console.print(table, "")


def _rules(report: dict[str, Any]) -> Table:
    chosen = [rule for rule in report["rules"] if rule["chosen"]]
    others = [rule for rule in report["rules"] if not rule["chosen"]]
    title = f"{len(chosen)} of {len(report['rules'])} rules chosen; the next {min(len(others), _MOST_LEFT_OUT)} below"
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("rule", overflow="fold")
    for name in ("pairs", "new pairs", "matches", "new matches", "skipped"):
        table.add_column(name, justify="right", no_wrap=True)
    for rule in (*chosen, *others[:_MOST_LEFT_OUT]):
        table.add_row(
            rule["rule"],
            f"{rule['pairs']:,}",
            f"{rule['new_pairs']:,}",
            f"{rule['matches_share']:.1%}",
            f"{rule['new_matches_share']:.2%}",
            f"{rule['hot_pairs']:,}",
            style=None if rule["chosen"] else "dim",
        )
    return table


def _totals(blocked: BlockedTable, page: Path) -> Table:
    report = blocked.report
    table = Table(
        title=f"Blocked {blocked.file}", title_justify="left", title_style="bold", show_header=False, box=None
    )
    rows = [
        ("records", f"{report['records']:,}"),
        ("candidate pairs", f"{report['candidate_pairs']:,} of {report['all_pairs']:,}"),
        ("expected matches among them", f"{report['expected_matches']:,.0f}"),
        ("hot pairs skipped", f"{report['hot_pairs_skipped']:,}"),
        ("hub values", ", ".join(f"{n:,} {kind}" for kind, n in report["hubs"]["values_by_kind"].items()) or "none"),
        *_recall_rows(report),
        ("report", str(page)),
    ]
    for row in rows:
        table.add_row(*row)
    return table


def _recall_rows(report: dict[str, Any]) -> list[tuple[str, str]]:
    estimate, true = report["estimated_recall"], report["true_recall"]
    rows = []
    if estimate:
        between = f"between {estimate['low']:.4f} and {estimate['high']:.4f}"
        rows.append(("estimated recall, no labels", f"{estimate['recall']:.4f}, {between}"))
    if true:
        rows.append(("true recall", f"{true['recall']:.4f} ({true['found']:,} of {true['true_pairs']:,} pairs)"))
    return rows
