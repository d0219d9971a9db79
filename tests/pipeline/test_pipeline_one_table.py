"""One file in, answers out, from Python: ids and columns may be of any type and any name."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from c360ml.pipeline import link_table, value_table

PEOPLE = pd.DataFrame(
    [
        {"id": 2 * n + twin, "first": given, 'the "last" name': last, "mail": f"{given}.{last}@post.net", "who": n}
        for n, (given, last) in enumerate(
            (given, last)
            for given in ("Ada", "Ben", "Cleo", "Dov", "Ewa")
            for last in ("Archer", "Baker", "Cooper", "Draper")
        )
        for twin in range(1 + n % 2)
    ]
)
ROLES = {"given_name": "first", "surname": 'the "last" name', "email": "mail"}


@pytest.mark.parametrize("kind", ["int64", "float64", "str"])
def test_ids_of_any_type_are_linked_and_judged(kind, tmp_path):
    """Ids may be whole numbers, fractions of a spreadsheet's making, or text: truth is found by them."""
    PEOPLE.astype({"id": kind}).to_parquet(tmp_path / "people.parquet")
    linked = link_table(tmp_path / "people.parquet", id="id", columns=ROLES, truth="who", out=tmp_path / "out")
    assert sorted(map(str, PEOPLE["id"])) == linked.people["record_id"].to_pylist()
    assert (len(PEOPLE), 1.0) == (linked.metrics["evaluation"]["records"], linked.metrics["evaluation"]["b3_f1"])


def test_progress_is_told(tmp_path):
    """Whoever listens hears what the work is at, from reading to the end."""
    heard = []
    PEOPLE.to_csv(tmp_path / "people.csv", index=False)
    link_table(tmp_path / "people.csv", id="id", columns=ROLES, out=tmp_path / "out", say=heard.append)
    assert ["reading", "standardizing"] == heard[:2]
    assert "identifying people and households" in heard


def test_answers_are_replaced_whole(tmp_path):
    """A second run into the same folder replaces its answers and leaves no scraps."""
    PEOPLE.to_csv(tmp_path / "people.csv", index=False)
    for rows in (PEOPLE, PEOPLE.iloc[:30]):
        rows.to_csv(tmp_path / "people.csv", index=False)
        link_table(tmp_path / "people.csv", id="id", columns=ROLES, out=tmp_path / "out")
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert ["metrics.json", "model.json", "pairs.parquet", "people.parquet"] == files
    assert len(PEOPLE.iloc[:30]) == len(pd.read_parquet(tmp_path / "out" / "people.parquet"))


def test_answers_are_written_as_they_are_given(tmp_path):
    """What Python is given is what the files hold."""
    rows = [(f"c{n % 9}", f"2024-0{1 + n % 9}-0{1 + n % 7}", 10.0 + n) for n in range(60)]
    pd.DataFrame(rows, columns=["who", "day", "paid"]).to_csv(tmp_path / "sales.csv", index=False)
    valued = value_table(tmp_path / "sales.csv", customer="who", date="day", amount="paid", out=tmp_path / "out")
    assert valued.customers.to_pylist() == pd.read_parquet(tmp_path / "out" / "customer_value.parquet").astype(
        object
    ).where(lambda table: table.notna(), None).to_dict("records")
    assert valued.model == json.loads((tmp_path / "out" / "model.json").read_text())
    assert valued.metrics == json.loads((tmp_path / "out" / "metrics.json").read_text())
