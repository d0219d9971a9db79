"""Labels: what they measure, in whatever form they come, and what is said of those that will not do."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from c360ml import tables
from c360ml.config import Config
from c360ml.errors import ColumnError, DataError, SourceError
from c360ml.lakehouse import Lakehouse
from c360ml.pipeline.judge import judge, open_labels
from c360ml.pipeline.run import RUN_FILE

# Records a1 and a2 are one customer, b1 and b2 are held for two, though they are one.
IDENTITIES = """
    select record_id, master_id, 'h' as household_id, 1 as cohesion
    from (values ('crm:a1', 'A'), ('crm:a2', 'A'), ('crm:b1', 'B'), ('crm:b2', 'C')) as t(record_id, master_id)
"""
LINKS = """
    select 'crm:a1' as record_id_l, 'crm:a2' as record_id_r, 3.0 as match_weight, 0.9 as match_probability,
        0.0 as household_probability, true as is_link
"""
PAIRS = pd.DataFrame(
    {
        "record_id_l": ["crm:a1", "crm:b1", "crm:a1"],
        "record_id_r": ["crm:a2", "crm:b2", "crm:b1"],
        "is_match": [1, 1, 0],
    }
)
PEOPLE = pd.DataFrame({"record_id": ["crm:a1", "crm:a2", "crm:b1", "crm:b2"], "true_id": [1, 1, 2, 2]})


@pytest.fixture
def lake(tmp_path):
    """A lakehouse with two customers, one of whom is held for two."""
    with Lakehouse(tmp_path) as opened:
        opened.write(tables.IDENTITIES, IDENTITIES)
        opened.write(tables.LINKS, LINKS)
        yield opened


def measure(lake: Lakehouse, **evaluation: str) -> dict:
    return judge(lake, open_labels(lake, Config.parse({"evaluation": evaluation})))


def test_no_labels_no_measures(lake):
    """Without labels there is nothing to say."""
    assert {} == measure(lake)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_labelled_pairs_are_measured(lake, kind):
    """Pairs of records that were labelled give precision and recall, as CSV and as Parquet."""
    getattr(PAIRS, f"to_{kind}")(lake.folder / f"pairs.{kind}", index=False)
    measured = measure(lake, labelled_pairs=f"pairs.{kind}")
    assert (3, 1.0, 0.5) == tuple(
        measured[name] for name in ("labelled_pairs", "labelled_precision", "labelled_recall")
    )


@pytest.mark.parametrize(("yes", "no"), [("true", "false"), ("True", "False"), ("1", "0"), ("t", "f")])
def test_matches_may_be_written_in_words(lake, yes, no):
    """True and false are understood like 1 and 0."""
    PAIRS.assign(is_match=[yes, yes, no]).to_csv(lake.folder / "pairs.csv", index=False)
    assert 0.5 == measure(lake, labelled_pairs="pairs.csv")["labelled_recall"]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_true_ids_are_measured(lake, kind):
    """True identities give B-cubed and pairwise measures and calibration, numbers or text."""
    getattr(PEOPLE, f"to_{kind}")(lake.folder / f"people.{kind}", index=False)
    measured = measure(lake, true_ids=f"people.{kind}")
    assert (1.0, 0.75, 0.5) == (measured["b3_precision"], measured["b3_recall"], measured["pairwise_recall"])
    assert 0.1 == pytest.approx(measured["calibration_error"])


@pytest.mark.parametrize("name", ["labelled_pairs", "true_ids"])
def test_missing_labels_are_named(lake, name):
    """A label file that is not there is told by its setting and its name."""
    with pytest.raises(SourceError, match=rf"\[evaluation\] {name} must name .* Got no file labels/gone\.csv"):
        measure(lake, **{name: "labels/gone.csv"})


@pytest.mark.parametrize("content", [b"PAR1 broken", bytes(range(256)) * 9])
def test_unreadable_labels_are_named(lake, content):
    """A label file that is no table is told by its name."""
    (lake.folder / "people.parquet").write_bytes(content)
    with pytest.raises(SourceError, match=r"people\.parquet, which cannot be read"):
        measure(lake, true_ids="people.parquet")


def test_labels_without_their_columns_are_named(lake):
    """A label file that lacks a column is told which it must have."""
    PAIRS.drop(columns="is_match").to_csv(lake.folder / "pairs.csv", index=False)
    with pytest.raises(ColumnError, match=r"pairs\.csv must have the columns record_id_l, record_id_r, is_match"):
        measure(lake, labelled_pairs="pairs.csv")


def test_labels_that_say_neither_yes_nor_no_are_refused(lake):
    """A pair that is labelled maybe is no label."""
    PAIRS.assign(is_match=["1", "maybe", "0"]).to_csv(lake.folder / "pairs.csv", index=False)
    with pytest.raises(ColumnError, match=r"is_match of pairs\.csv must be 0 or 1 in each row\. Got 1 rows"):
        measure(lake, labelled_pairs="pairs.csv")


def test_decisions_in_three_words_are_labels(lake):
    """A file of decisions is measured like labelled pairs, what is possible apart from the rest."""
    decided = PAIRS.drop(columns="is_match").assign(decision=["match", "match", "possible"])
    decided.to_csv(lake.folder / "pairs.csv", index=False)
    measured = measure(lake, labelled_pairs="pairs.csv")
    assert (2, 1, 0.0) == tuple(measured[name] for name in ("labelled_pairs", "possible_pairs", "possible_joined"))


def test_labels_that_contradict_each_other_are_refused_at_once(lake):
    """Labels that contradict each other are told by their file before anything runs."""
    pd.concat([PAIRS, PAIRS.assign(is_match=0)]).to_csv(lake.folder / "pairs.csv", index=False)
    with pytest.raises(DataError, match=r"contradict each other: pairs\.csv\. Got 2 pairs labelled in two ways"):
        open_labels(lake, Config.parse({"evaluation": {"labelled_pairs": "pairs.csv"}}))


def test_both_kinds_of_labels_are_told_together(lake):
    """With true ids and labelled pairs all measures and intervals are there."""
    PAIRS.to_csv(lake.folder / "pairs.csv", index=False)
    PEOPLE.to_csv(lake.folder / "people.csv", index=False)
    measured = measure(lake, labelled_pairs="pairs.csv", true_ids="people.csv")
    assert {"b3_f1", "cluster_f1", "labelled_precision"} <= measured["intervals"].keys() & measured.keys()


def test_a_run_tells_its_errors_by_kind(small_world_project):
    """A run whose records and model are there tells errors by what agrees, and accuracy per pair of sources."""
    told = json.loads((small_world_project / RUN_FILE).read_text("utf-8"))["evaluation"]
    kinds = {kind["kind"] for side in told["errors"].values() for kind in side}
    assert kinds and not kinds & {"linked directly", "drawn together", "scored too low", "not scored"}
    assert len(told["source_pairs"]) > 5
    pairs = sum(row["true_pairs"] for row in told["source_pairs"])
    assert told["recall_steps"]["true_pairs"] == pairs
