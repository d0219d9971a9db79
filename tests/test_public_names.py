"""The public names: few, documented, and free to import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import c360ml

PUBLIC_NAMES = [
    "BgNbd",
    "C360Error",
    "Config",
    "GammaGamma",
    "KMeansSegmenter",
    "Lakehouse",
    "LinkageModel",
    "RfmScorer",
    "customer_lifetime_value",
    "evaluate_clusters",
    "purchase_history",
    "run_pipeline",
    "standardize_records",
    "write_world",
]
HEAVY = ("deltalake", "duckdb", "mlflow", "numpy", "pandas", "pyarrow", "scipy", "sklearn", "splink")


def loaded_after(statements: str, folder: Path) -> set[str]:
    """Run statements in a fresh process within an empty folder; tells which heavy libraries that loaded."""
    script = f"{statements}\nimport sys\nprint('loaded', *sorted(set(sys.modules) & set({HEAVY!r})))"
    told = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True, timeout=300
    )
    return set(told.stdout.splitlines()[-1].split()[1:])


def test_public_names_are_the_agreed_ones():
    """The package offers exactly the names that users were promised, fifteen at most."""
    assert PUBLIC_NAMES == c360ml.__all__
    assert len(c360ml.__all__) <= 15
    assert sorted(c360ml.__all__) == dir(c360ml)


@pytest.mark.parametrize("name", PUBLIC_NAMES)
def test_public_names_resolve_and_are_documented(name):
    """Every public name leads to a thing that says what it is for."""
    assert getattr(c360ml, name).__doc__


def test_unknown_name_is_an_attribute_error():
    """A name that the package has not is refused as Python does it."""
    with pytest.raises(AttributeError, match="module 'c360ml' has no attribute 'Nonsense'"):
        _ = c360ml.Nonsense


def test_import_loads_nothing_heavy_and_leaves_no_file(tmp_path):
    """Importing the package loads no heavy library and makes no file."""
    assert set() == loaded_after("import c360ml", tmp_path)
    assert [] == list(tmp_path.iterdir())


def test_help_loads_nothing_heavy(tmp_path):
    """`c360ml --help` answers without a heavy library and makes no file."""
    asked = "import contextlib, c360ml.cli\nwith contextlib.suppress(SystemExit):\n    c360ml.cli.app(['--help'])"
    assert set() == loaded_after(asked, tmp_path)
    assert [] == list(tmp_path.iterdir())


def test_model_names_load_only_what_they_need(tmp_path):
    """Valuing customers loads neither the linkage engine nor tracking."""
    assert not {"splink", "mlflow"} & loaded_after("from c360ml import BgNbd", tmp_path)
