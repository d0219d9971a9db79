"""`c360ml review`: ask a person about the pairs most worth it, and take the answers in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from c360ml.cli.commands import app, console
from c360ml.config import CONFIG_FILE, Config
from c360ml.errors import ConfigError


@app.command()
def review(
    project: Annotated[Path, typer.Option(help="Project folder, after a run.")] = Path("."),
    pairs: Annotated[int, typer.Option(help="Most pairs to ask about.", min=1)] = 200,
    out: Annotated[
        Path, typer.Option(help="CSV to write below the project; a page to decide on is written beside it.")
    ] = Path("labels/to_review.csv"),
    blind: Annotated[bool, typer.Option("--blind", help="Do not show the reviewer what the model thinks.")] = False,
    read: Annotated[
        Path | None, typer.Option(help="Decided CSV to take in: record_id_l, record_id_r, decision.")
    ] = None,
) -> None:
    """Write the pairs most worth a person's time, or take decisions in; holds personal data, keep it in the project.

    Decide in the page, or fill the column decision with match, non-match or possible. The next run obeys the
    decisions, and learns from them what match weights mean.
    """
    folder = project.resolve()
    config = Config.load(folder / CONFIG_FILE)
    if read is None:
        _ask(folder, config, pairs, _below(folder, out), blind)
    else:
        _take(folder, config, read if read.is_file() else folder / read)


def _ask(folder: Path, config: Config, pairs: int, file: Path, blind: bool) -> None:
    from c360ml.cli.progress import one_bar
    from c360ml.cli.screens import queue_tables
    from c360ml.dashboards.review_page import write_review_page
    from c360ml.lakehouse import Lakehouse
    from c360ml.linkage.review_answers import check_nothing_is_lost
    from c360ml.linkage.review_queue import review_queue, write_queue

    with one_bar(console, "Choose pairs to review") as say, Lakehouse(folder, published=True, say=say) as lake:
        check_nothing_is_lost(lake, config, file)
        queue = review_queue(lake, config, pairs=pairs)
        say("writing the CSV and its page")
        write_queue(lake, queue, file, blind=blind)
        page = write_review_page(
            file.with_suffix(".html"), queue.pairs.to_pylist(), title=config.project.name, blind=blind
        )
    for table in queue_tables(queue, file, page, config.project.currency):
        console.print(table, "")


def _take(folder: Path, config: Config, file: Path) -> None:
    from c360ml.cli.progress import one_bar
    from c360ml.cli.screens import answer_tables
    from c360ml.lakehouse import Lakehouse
    from c360ml.linkage.review_answers import read_answers

    with one_bar(console, "Take decisions in") as say, Lakehouse(folder, published=True, say=say) as lake:
        answers = read_answers(lake, config, file)
    for table in answer_tables(answers):
        console.print(table, "")


def _below(folder: Path, out: Path) -> Path:
    file = (folder / out).resolve()
    if not file.is_relative_to(folder) or file.suffix != ".csv":
        raise ConfigError(
            "--out must be a .csv in the project's folder, as it holds personal data",
            got=str(out),
            hint="leave it out for labels/to_review.csv",
        )
    return file
