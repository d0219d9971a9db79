"""Constraints and reviewers' decisions in a project and on one file."""

from __future__ import annotations

import csv
from itertools import pairwise

import pandas as pd
import pyarrow.parquet as pq
import pytest
from test_pipeline_one_table import PEOPLE, ROLES

from c360ml.config import Config
from c360ml.errors import SourceError
from c360ml.lakehouse import Lakehouse
from c360ml.linkage import Constraints, link
from c360ml.pipeline import STEPS, link_table
from c360ml.pipeline.manifest import Manifest


def fingerprints(folder, **linkage) -> dict[str, str]:
    with Lakehouse(folder) as lake:
        made = Manifest(lake, Config.parse({"linkage": linkage}))
        return {step.name: made.fingerprint(step) for step in STEPS}


def write_decision(file, decision) -> None:
    file.parent.mkdir(exist_ok=True)
    with file.open("w", newline="") as opened:
        csv.writer(opened).writerows([("record_id_l", "record_id_r", "decision"), ("a:1", "a:2", decision)])


@pytest.mark.parametrize("setting", [{}, {"reviewed_pairs": "elsewhere/decided.csv"}])
def test_changed_decisions_link_again(setting, tmp_path):
    """A file of decisions that comes or changes reruns the link step and what follows, and nothing before."""
    file = tmp_path / setting.get("reviewed_pairs", "labels/reviewed_pairs.csv")
    seen = [fingerprints(tmp_path, **setting)]
    for decision in ("match", "non-match"):
        write_decision(file, decision)
        seen.append(fingerprints(tmp_path, **setting))
    for before, after in pairwise(seen):
        assert all(before[step] == after[step] for step in ("land", "validate", "standardize"))
        assert all(before[step] != after[step] for step in ("link", "identify"))


def test_a_named_file_of_decisions_must_be_there(tmp_path):
    """The default file may be missing; one that the config names may not."""
    with (
        Lakehouse(tmp_path) as lake,
        pytest.raises(SourceError, match=r"reviewed_pairs must name.*no file mine\.csv"),
    ):
        link(lake, Config.parse({"linkage": {"reviewed_pairs": "mine.csv"}}))


def test_one_file_heeds_constraints(tmp_path):
    """Two copies of a person in a source without duplicates stay two people; a reviewed match joins them elsewhere."""
    people = PEOPLE.assign(system="crm")
    people.to_parquet(tmp_path / "people.parquet")
    more = people.assign(id=people["id"] + 1000, system="web")
    pd.concat([people, more]).to_parquet(tmp_path / "both.parquet")
    decided = pd.DataFrame({"record_id_l": ["0"], "record_id_r": ["1002"], "decision": ["match"]})
    linked = link_table(
        tmp_path / "both.parquet",
        id="id",
        columns=ROLES,
        source="system",
        constraints=Constraints(duplicate_free_sources=("crm", "web"), reviewed_pairs=decided),
        out=tmp_path / "out",
    )
    found = pq.read_table(tmp_path / "out" / "people.parquet").to_pandas().set_index("record_id")["master_id"]
    sizes = found.value_counts()

    assert sizes.max() <= 2
    assert found["0"] == found["1002"]
    assert 1 == linked.summary["clustering"]["reviewed_matches"]
