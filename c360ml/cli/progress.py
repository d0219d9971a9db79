"""What a person sees while work goes on: a bar per step, and what the step is at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from c360ml.cli.durations import show_seconds
from c360ml.pipeline import STEPS, Step, StepResult
from c360ml.pipeline.plan import Plan
from c360ml.pipeline.run import Watcher


class _TimeLeft(ProgressColumn):
    """About how long a task will still take, as planned; nothing once it has taken longer."""

    def render(self, task: Task) -> Text:
        left = task.fields.get("expected_seconds", 0.0) - (task.elapsed or 0.0)
        return Text("" if task.finished or left < 1 else f"about {show_seconds(left)} left", style="dim")


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(finished_text="[green]✓[/]"),
        TextColumn("{task.description:<24}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        _TimeLeft(),
        TextColumn("[dim]{task.fields[note]}[/]"),
        console=console,
    )


class StepBars(Watcher):
    """One bar per pipeline step."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks = {
            step.name: progress.add_task(step.title, total=None, start=False, note="", visible=False) for step in STEPS
        }
        self._running = STEPS[0].name

    def plans(self, plan: Plan) -> None:
        """Know how long each step is expected to take."""
        for step in plan.steps:
            if step.name in self._tasks:
                self._progress.update(self._tasks[step.name], expected_seconds=step.seconds)

    def finish(self) -> None:
        """Stop drawing, so that something else can."""
        self._progress.stop()

    def starts(self, step: Step) -> None:
        """Show the step's bar."""
        self._running = step.name
        self._progress.update(self._tasks[step.name], visible=True)
        self._progress.start_task(self._tasks[step.name])

    def says(self, message: str) -> None:
        """Note what the step is at."""
        self._progress.update(self._tasks[self._running], note=message, visible=True)

    def ends(self, result: StepResult) -> None:
        """Fill the bar."""
        note = "unchanged" if result.skipped else ""
        self._progress.update(self._tasks[result.name], total=1, completed=1, note=note)


@contextmanager
def step_bars(console: Console) -> Iterator[StepBars]:
    """Show pipeline steps as bars for the length of a `with` block."""
    with _progress(console) as progress:
        yield StepBars(progress)


@contextmanager
def one_bar(console: Console, title: str) -> Iterator[Callable[[str], None]]:
    """Show one bar; call what is given to say what the work is at."""
    with _progress(console) as progress:
        task = progress.add_task(title, total=None, note="")
        yield lambda message: progress.update(task, note=message)
        progress.update(task, total=1, completed=1, note="")
