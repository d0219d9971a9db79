"""`c360ml threshold`: what each threshold is expected to give, so that a business can choose one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from c360ml.cli.commands import app, console
from c360ml.config import CONFIG_FILE, Config
from c360ml.errors import ConfigError

if TYPE_CHECKING:
    from c360ml.linkage.thresholds import Threshold

TARGETS = (0.9, 0.95, 0.98, 0.99, 0.995)


@app.command()
def threshold(
    project: Annotated[Path, typer.Option(help="Project folder, after a run.")] = Path("."),
    false_merge_cost: Annotated[float | None, typer.Option(help="Money lost if two people are taken for one.")] = None,
    missed_merge_cost: Annotated[
        float | None, typer.Option(help="Money lost if one person is taken for two; goes with the other cost.")
    ] = None,
    by_value: Annotated[
        bool, typer.Option("--by-value", help="Let an error cost a share of the value that it moves, pair by pair.")
    ] = False,
    false_merge_share: Annotated[
        float, typer.Option(help="With --by-value: share of it lost if two people are taken for one.")
    ] = 0.05,
    missed_merge_share: Annotated[
        float, typer.Option(help="With --by-value: share of it lost if one person is taken for two.")
    ] = 0.05,
) -> None:
    """Show the match probability to ask for by target precision, or by what errors cost; for c360ml.toml."""
    from c360ml import tables
    from c360ml.lakehouse import Lakehouse
    from c360ml.linkage.step import default_threshold
    from c360ml.linkage.thresholds import choose_threshold, threshold_by_cost
    from c360ml.linkage.value_threshold import threshold_by_value

    if (false_merge_cost is None) != (missed_merge_cost is None):
        raise ConfigError(
            "--false-merge-cost and --missed-merge-cost go together", got="one of them", hint="give both, or none"
        )
    folder = project.resolve()
    Config.load(folder / CONFIG_FILE)
    with Lakehouse(folder, published=True) as lake:
        counted = f"select match_probability, count(*) as pairs from {lake.open(tables.LINKS)} group by all"
        pairs, least = lake.sql(counted).to_arrow_table(), default_threshold(lake)
        shares = {"false_merge_share": false_merge_share, "missed_merge_share": missed_merge_share}
        valued = threshold_by_value(lake, **shares) if by_value else None
    found = [
        (f"target_precision = {target}", choose_threshold(pairs, target_precision=target, least=least))
        for target in TARGETS
    ]
    if false_merge_cost is not None and missed_merge_cost is not None:
        by_cost = threshold_by_cost(pairs, false_merge_cost=false_merge_cost, missed_merge_cost=missed_merge_cost)
        found.append((f"costs {false_merge_cost:g} and {missed_merge_cost:g}", by_cost))
    if valued is not None:
        found.append((f"{false_merge_share:g} and {missed_merge_share:g} of value at stake", valued))
    console.print(_table(found), "")


def _table(found: list[tuple[str, Threshold]]) -> Table:
    table = Table(title="Thresholds, as the scored pairs expect", title_justify="left", box=None, pad_edge=False)
    table.add_column(r"in \[linkage]", no_wrap=True)
    for name in ("threshold", "pairs above", "precision", "recall"):
        table.add_column(name, justify="right")
    for name, each in found:
        shares = (f"{each.expected_precision:.4f}", f"{each.expected_recall:.4f}")
        table.add_row(name, f"{each.probability:.4f}", f"{each.pairs:,}", *shares)
    return table
