"""`c360ml evaluate`: how right any tool's clusters are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from c360ml.cli.commands import Out, app, console

Clusters = Annotated[
    Path,
    typer.Argument(
        help="Table with record_id and cluster_id (or master_id), or the folder that c360ml link wrote.",
        show_default=False,
    ),
]


@app.command()
def evaluate(
    clusters: Clusters,
    truth: Annotated[
        Path,
        typer.Option(
            help="Labels: record_id, true_id; or record_id_l, record_id_r with is_match (0, 1) or decision "
            "(match, non-match, possible)."
        ),
    ],
    pairs: Annotated[Path | None, typer.Option(help="Table with record_id_l, record_id_r, match_probability.")] = None,
    groups: Annotated[Path | None, typer.Option(help="Table with record_id, group, to compare errors.")] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Pairs more likely than this are links; 0.5 if not said.")
    ] = None,
    out: Out = Path("evaluated"),
) -> None:
    """Measure clusters of any tool against labels: accuracy with intervals, errors by kind, calibration, groups."""
    from c360ml.cli.progress import one_bar
    from c360ml.cli.screens import evaluate_tables
    from c360ml.dashboards.evaluation_page import write_evaluation_page
    from c360ml.pipeline.one_evaluation import evaluate_files

    with one_bar(console, "Evaluate") as say:
        found = evaluate_files(clusters, truth, out=out, pairs=pairs, groups=groups, threshold=threshold, say=say)
        say("writing report.html")
        report = write_evaluation_page(found.evaluation, out, clusters=found.clusters, truth=found.truth)
    for table in evaluate_tables(found, report):
        console.print(table, "")
