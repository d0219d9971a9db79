"""Build the API reference from docstrings as HTML: python notebooks/api_pages.py FOLDER (needs c360ml[docs])."""

from __future__ import annotations

import pkgutil
import sys
import warnings
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pdoc

import c360ml

LEFT_OUT = ("c360ml.__main__", "c360ml.cli", "c360ml.row_sql", "c360ml.serving.scorer_model", "c360ml.tracking.model_")


def modules() -> list[str]:
    """Modules that users import from: all but the command line, the scripts that MLflow loads, and Spark without it."""
    found = [each.name for each in pkgutil.walk_packages(c360ml.__path__, "c360ml.")]
    left_out = LEFT_OUT if find_spec("pyspark") else (*LEFT_OUT, "c360ml.spark")
    return ["c360ml", *(name for name in found if not name.startswith(left_out) and not _is_of_its_room(name))]


def _is_of_its_room(module: str) -> bool:
    """Whether a module bears the name of a function that its room shows: pdoc adds it with the room."""
    room, _, name = module.rpartition(".")
    return name in getattr(import_module(room), "__all__", ())


def build(folder: Path) -> int:
    """Write a page per module; a warning is an error. Returns the number of modules."""
    for name in c360ml.__all__:
        vars(c360ml)[name] = getattr(c360ml, name)  # pdoc does not ask for names that load themselves when used
    names = modules()
    for name in names:
        import_module(name)
    pdoc.render.configure(docformat="google", math=True, search=True, show_source=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pdoc.pdoc(*names, output_directory=folder)
    return len(names)


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "api")
    print(f"{build(folder)} modules in {folder / 'index.html'}")
