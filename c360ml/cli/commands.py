"""The commands. Heavy rooms are imported when a command runs, so that `--help` answers at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape

from c360ml import __version__
from c360ml.config import CONFIG_FILE
from c360ml.errors import C360Error, ConfigError, ProjectError

if TYPE_CHECKING:
    from collections.abc import Callable

    from c360ml.lakehouse import Lakehouse
    from c360ml.pipeline import RunResult
    from c360ml.pipeline.run import Watcher

    Publish = Callable[[Lakehouse, RunResult], None]

app = typer.Typer(
    help="Resolve customers, value them, segment them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console()

File = Annotated[Path, typer.Argument(help="CSV, JSON, NDJSON or Parquet file.", show_default=False)]
Out = Annotated[Path, typer.Option(help="Folder of the answers; made if it is not there.", file_okay=False)]


def main() -> None:
    """Run the command line; an error of ours is one line, not a traceback."""
    try:
        app()
    except C360Error as error:
        message = f"[bold red]{type(error).__name__}[/]: {escape(str(error))}"
        Console(stderr=True, soft_wrap=True).print(message, highlight=False)
        sys.exit(2)


@app.command()
def demo(
    customers: Annotated[int, typer.Option(help="People in the world.", min=50)] = 10_000,
    seed: Annotated[int, typer.Option(help="Seed of the world.")] = 1,
    out: Annotated[Path, typer.Option(help="Project folder to make.", file_okay=False)] = Path("c360ml-demo"),
) -> None:
    """Make a labelled world of customers, run everything on it, show what was found."""
    from c360ml.cli.progress import one_bar
    from c360ml.synthetic import write_world

    if out.exists() and any(out.iterdir()) and not (out / CONFIG_FILE).is_file():
        raise ProjectError("the demo needs a new or a project folder", got=str(out), hint="name another with --out")
    with one_bar(console, f"Make {customers:,} people") as say:
        write_world(out, customers=customers, seed=seed, say=say)
    _run(out)


@app.command()
def init(folder: Annotated[Path, typer.Argument(help="Folder to make a project in.", file_okay=False)]) -> None:
    """Make a project folder with a commented c360ml.toml for your own files."""
    from c360ml.cli.template import write_template

    write_template(folder)
    console.print(f"Made {folder / CONFIG_FILE}. Name your files in it, then: c360ml run --project {folder}")


@app.command()
def run(project: Annotated[Path, typer.Option(help="Project folder.")] = Path(".")) -> None:
    """Bring a project's tables, models and report up to date with its files and settings."""
    _run(project)


def _run(folder: Path) -> None:
    from c360ml.pipeline import run_pipeline

    show_run(lambda watcher, then: run_pipeline(folder, watcher=watcher, then=then))


def show_run(work: Callable[[Watcher, Publish], RunResult]) -> RunResult | None:
    """Show a run's progress and tables; gives what it did, None if there was nothing to do."""
    from c360ml.cli.progress import one_bar, step_bars
    from c360ml.cli.screens import places, run_tables

    told: dict[str, str] = {}

    def publish(lake: Lakehouse, result: RunResult) -> None:
        if result.published and (result.folder / "report.html").is_file():
            return
        bars.finish()
        with one_bar(console, "Report and track") as say:
            told["uri"] = _publish(lake, result, say)

    with step_bars(console) as bars:
        result = work(bars, publish)
    if not told:
        console.print("Nothing changed since the last run: all tables, models and the report are up to date.")
        return None
    for table in run_tables(result, places(result.folder, told["uri"])):
        console.print(table, "")
    return result


def _publish(lake: Lakehouse, result: RunResult, say: Any) -> str:
    from c360ml.dashboards import write_run_report
    from c360ml.serving.scorer import export_champion, index_in_the_making, register_scorer

    with index_in_the_making(lake) as index:
        # MLflow is loaded while the index is built, for it takes seconds.
        from c360ml.tracking import drift_of_run, log_run

        say("comparing with the champion's run")
        drift = drift_of_run(lake, result)
        say("writing report.html")
        report = write_run_report(lake, result, drift=drift)
        say("logging to MLflow")
        tracked = log_run(lake, result, report=report, drift=drift)
        say("building the online index")
        register_scorer(lake, result, tracked, index=index)
    export_champion(lake)
    return str(tracked.tracking_uri)


@app.command()
def link(
    file: File,
    id: Annotated[str, typer.Option(help="Column that tells rows apart.")],
    columns: Annotated[str, typer.Option(help='Roles of columns: "given_name=first_name,surname=last_name,...".')],
    source: Annotated[str | None, typer.Option(help="Column that names the source of a row.")] = None,
    truth: Annotated[str | None, typer.Option(help="Column with the true identity, for evaluation only.")] = None,
    threshold: Annotated[float | None, typer.Option(help="Least match probability of a link.")] = None,
    classes: Annotated[
        str, typer.Option(help="latent: people are told from households; two: Splink's model.")
    ] = "latent",
    duplicate_free: Annotated[str, typer.Option(help="Sources without duplicates, separated by commas.")] = "",
    reviewed: Annotated[Path | None, typer.Option(help="Reviewers' CSV: record_id_l, record_id_r, decision.")] = None,
    out: Out = Path("linked"),
) -> None:
    """Link any table of people: which rows are one person, which people one household."""
    from c360ml.cli.progress import one_bar
    from c360ml.cli.screens import link_tables
    from c360ml.dashboards import write_link_report
    from c360ml.linkage import Constraints
    from c360ml.pipeline import link_table

    with one_bar(console, "Link") as say:
        linked = link_table(
            file,
            id=id,
            columns=parse_columns(columns),
            source=source,
            truth=truth,
            threshold=threshold,
            classes=classes,
            constraints=Constraints(
                duplicate_free_sources=tuple(name.strip() for name in duplicate_free.split(",") if name.strip()),
                reviewed_pairs=reviewed,
            ),
            out=out,
            say=say,
        )
        say("writing report.html")
        write_link_report(linked)
    for table in link_tables(linked):
        console.print(table, "")


@app.command()
def value(
    file: File,
    customer: Annotated[str, typer.Option(help="Column of the customer's key.")],
    date: Annotated[str, typer.Option(help="Column of the day.")],
    amount: Annotated[str, typer.Option(help="Column of the amount; negative is a refund.")],
    quantity: Annotated[str | None, typer.Option(help="Column of units, if the amount is a unit price.")] = None,
    observation_end: Annotated[str | None, typer.Option(help="Last observed day, YYYY-MM-DD.")] = None,
    holdout_start: Annotated[str | None, typer.Option(help="First day kept aside to measure the forecast.")] = None,
    horizon_weeks: Annotated[int, typer.Option(help="Weeks ahead that projected value covers.", min=1)] = 52,
    model: Annotated[
        Literal["best", "bg_nbd", "mbg_nbd", "pareto_nbd"],
        typer.Option(help="Model of purchases; best is the one that forecasts holdouts best."),
    ] = "best",
    out: Out = Path("valued"),
) -> None:
    """Value every customer of any transaction table, and segment them."""
    from c360ml.cli.progress import one_bar
    from c360ml.cli.screens import value_tables
    from c360ml.dashboards import write_value_report
    from c360ml.pipeline import value_table

    with one_bar(console, "Value") as say:
        valued = value_table(
            file,
            customer=customer,
            date=date,
            amount=amount,
            quantity=quantity,
            observation_end=observation_end,
            holdout_start=holdout_start,
            horizon_weeks=horizon_weeks,
            model="auto" if model == "best" else model,
            out=out,
            say=say,
        )
        say("writing report.html")
        write_value_report(valued)
    for table in value_tables(valued):
        console.print(table, "")


@app.command()
def settings() -> None:
    """List every setting of c360ml.toml: name, default, meaning."""
    from c360ml.cli.template import settings_table

    console.print(settings_table())


@app.command()
def version() -> None:
    """Print the version."""
    console.print(__version__)


def parse_columns(text: str) -> dict[str, str]:
    """Read `role=column,role=column`.

    Raises:
        ConfigError: an entry has no `=`, or a role comes twice.

    >>> parse_columns("given_name=first, surname=last")
    {'given_name': 'first', 'surname': 'last'}
    """
    roles: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        role, equals, column = (piece.strip() for piece in entry.partition("="))
        if not (role and equals and column) or role in roles:
            raise ConfigError(
                "--columns must be role=column, each role once, separated by commas",
                got=repr(entry),
                hint='e.g. --columns "given_name=first_name,surname=last_name"',
            )
        roles[role] = column
    return roles
