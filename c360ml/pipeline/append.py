"""Add extracts to a project: they become files of one of its sources, and the flow goes on with the models it has."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from c360ml.config import CONFIG_FILE, Config, Source
from c360ml.errors import SourceError
from c360ml.pipeline.run import RunResult, Watcher, run_pipeline

if TYPE_CHECKING:
    from c360ml.lakehouse import Lakehouse


def append_files(
    folder: str | Path,
    files: Sequence[str | Path] = (),
    *,
    source: str | None = None,
    watcher: Watcher | None = None,
    then: Callable[[Lakehouse, RunResult], None] | None = None,
) -> RunResult:
    """Add extracts to a source and bring the project up to date, with the linkage model as it is.

    A row whose key the source already has replaces the earlier one; a row that the source marks as deleted withdraws
    it. Without files, what was put into the sources' folders since the last run is appended.

    Args:
        folder: the project's folder.
        files: extracts of the source, of the kind that it has.
        source: the source's name in `c360ml.toml`.
        watcher: hears of progress.
        then: see `run_pipeline`.

    Raises:
        SourceError: the source is unknown, or a file is missing or would not be found among the source's files.
        ProjectError: the project was not run before, or another run is at work.
        ConfigError: the settings of `[linkage]` changed since the last run.
    """
    folder = Path(folder).resolve()
    if files:
        add_files(folder, files, source)
    return run_pipeline(folder, watcher=watcher, then=then, append=True)


def add_files(folder: Path, files: Sequence[str | Path], source: str | None) -> list[Path]:
    """Copy extracts to where a source's files are, each whole or not at all, under names that come last.

    Of two rows with one key that do not say when they changed, the one in the later file counts.
    """
    found = _source(Config.load(folder / CONFIG_FILE), source)
    missing = [Path(file).name for file in files if not Path(file).is_file()]
    if missing:
        raise SourceError("files to append must be there", got=f"no {', '.join(missing)}", hint="check the paths")
    known = sorted(folder.glob(found.files))
    if not known:
        raise SourceError(
            f"source {found.name} must have files already", got=f"nothing matches {found.files}", hint="c360ml run"
        )
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    return [_add(folder, Path(file), found, known[-1], f"{moment}-{number}") for number, file in enumerate(files)]


def _source(config: Config, name: str | None) -> Source:
    for source in config.sources:
        if source.name == name:
            return source
    raise SourceError(
        "the source to append to must be one of c360ml.toml",
        got=name or "none",
        hint=f"--source {' or '.join(source.name for source in config.sources)}",
    )


def _add(folder: Path, file: Path, source: Source, last: Path, moment: str) -> Path:
    earlier = last.name.split("_appended_")[0].removesuffix(last.suffix)
    place = last.with_name(f"{earlier}_appended_{moment}{file.suffix}")
    if not place.relative_to(folder).match(source.files):
        raise SourceError(
            f"a file of source {source.name} must match {source.files}",
            got=place.relative_to(folder).as_posix(),
            hint="widen `files` in c360ml.toml, e.g. to *.csv, or convert the file",
        )
    partial = place.with_name(f".{place.name}.partial")
    shutil.copyfile(file, partial)
    os.replace(partial, place)
    return place
