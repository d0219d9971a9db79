"""Landing, validating and standardizing appended batches gives what doing it all at once gives."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

from c360ml import sources, standardize, tables
from c360ml.config import Config
from c360ml.identity.tombstones import bury
from c360ml.lakehouse import Lakehouse
from c360ml.pipeline import STEPS

INFLOW = [step for step in STEPS if step.name in ("land", "validate", "standardize")]
WRITTEN = [table for step in INFLOW for table in step.writes if not table.name.endswith("_inputs")]
CONFIG = Config.parse(
    {
        "sources": [
            {"name": "crm", "kind": "salesforce", "files": "crm/*.json"},
            {"name": "web", "kind": "customers", "files": "web/*.csv"},
            {"name": "shop", "kind": "sales", "files": "shop/*.csv", "customer_source": "web"},
            {"name": "garage", "kind": "services", "files": "garage/*.csv", "customer_source": "crm"},
            {"name": "clicks", "kind": "events", "files": "clicks/*.ndjson", "customer_source": "web"},
            {"name": "plans", "kind": "campaigns", "files": "plans/*.csv"},
            {"name": "sends", "kind": "campaign_sends", "files": "sends/*.csv", "customer_source": "web"},
        ]
    }
)
DAYS = ["2024-01-05", "2024-02-30", "01/02/2024", "2099-01-01", "", "soon"]
NAMES = ["Ann Lee", "LEE, ANN", "Bob & Mary Ray", "", "Dr. Zoë Müller", "Юлия"]
MAILS = ["ann@lee.org", "A.Nn+x@gmail.com", "none@none.com", "no mail", ""]


def a_file(kind: str, draw: random.Random) -> str:
    """Text of a file of a source, with keys that come again in this and other files."""
    keys = [draw.choice(["", *map(str, range(12))]) for _ in range(draw.randint(1, 8))]
    if kind == "crm":
        rows = [
            {
                "Id": key,
                "Name": draw.choice(NAMES),
                "Email": draw.choice(MAILS),
                "IsDeleted": draw.random() < 0.3,
                "LastModifiedDate": f"2024-01-{draw.randint(1, 28):02}T10:00:00Z",
            }
            for key in keys
        ]
        return json.dumps({"records": [{"Id": "last", "Name": "Last"}, *rows]})
    if kind == "clicks":
        rows = [
            {
                "source_key": key or None,
                "email": draw.choice(MAILS),
                "customer_key": draw.choice(["1", "2", None]),
                "event_type": draw.choice(["page view", "email_open"]),
                "occurred_at": draw.choice(["2024-01-05T10:00:00Z", "2099-01-01"]),
            }
            for key in keys
        ]
        always = {"source_key": "k", "email": "k@k.org", "event_type": "view", "occurred_at": "2024-01-05T10:00:00Z"}
        return "\n".join(map(json.dumps, [always, *rows])) + "\n"
    header, row = {
        "web": (
            "source_key,full_name,email,phone,date_of_birth,postcode,updated_at",
            lambda key: [
                key, f'"{draw.choice(NAMES)}"', draw.choice(MAILS), draw.choice(["512-555-0100", "1"]),
                draw.choice([*DAYS, "31/12/1980", "12/31/1980"]), draw.choice(["1234", "01234", "78701"]),
                draw.choice(DAYS),
            ],
        ),
        "shop": (
            "source_key,customer_key,sold_on,amount",
            lambda key: [key, draw.choice(["1", "2", ""]), draw.choice(DAYS), draw.choice(["12.50", "x", "(3)"])],
        ),
        "garage": (
            "source_key,customer_key,serviced_on,service_type,amount",
            lambda key: [key, draw.choice(["1", "2"]), draw.choice(DAYS), draw.choice(["recall", "oil"]), "5"],
        ),
        "plans": (
            "campaign_id,name,start_date,cost",
            lambda key: [key, "Spring", draw.choice(DAYS), draw.choice(["10", "x"])],
        ),
        "sends": (
            "send_id,campaign_id,customer_key,sent_date,audience",
            lambda key: [key, "1", draw.choice(["1", "2", ""]), draw.choice(DAYS), draw.choice(["control", "treated"])],
        ),
    }[kind]  # fmt: skip
    first = ",".join("2024-01-05" if name.endswith(("_on", "_at", "date")) else "9" for name in header.split(","))
    return "\n".join([header, first, *(",".join(row(key)) for key in keys)]) + "\n"


def put_in(folder: Path, draw: random.Random, number: int, *, change: bool) -> None:
    """Put new files into some sources' folders, and change one that is there."""
    for source in CONFIG.sources:
        place = folder / source.name
        place.mkdir(exist_ok=True)
        if number == 0 or draw.random() < 0.5:
            # names in any order: the later file of two is not the later batch
            (place / f"{draw.randint(0, 99):02}_{number}{Path(source.files).suffix}").write_text(
                a_file(source.name, draw)
            )
    there = sorted(path for source in CONFIG.sources for path in (folder / source.name).iterdir())
    if change:
        changed = draw.choice(there)
        changed.write_text(a_file(changed.parent.name, draw))


def content(lake: Lakehouse) -> dict[str, list]:
    """All rows of all tables in one order, without the time at which they were landed and the files were changed."""
    found = {}
    for table in WRITTEN:
        columns = [f'"{name}"' for name in table.columns if name not in ("loaded_at", "modified_ns")]
        found[table.path] = lake.rows(f"select {', '.join(columns)} from {lake.open(table)} order by all")
    return found


def appended(folder: Path) -> list[dict]:
    with Lakehouse(folder, threads=2) as lake:
        return [step.append(lake, CONFIG) for step in INFLOW]


def in_full(folder: Path, place: Path) -> tuple[list[dict], dict[str, list]]:
    """Summaries and tables of a full run over the same files, in another folder."""
    shutil.copytree(folder, place, ignore=lambda at, names: ["1_bronze", "2_silver"] if at.endswith("data") else [])
    with Lakehouse(place, threads=2) as lake:
        if (folder / "data" / "2_silver" / "tombstones").exists():
            shutil.copytree(folder / "data" / "2_silver" / "tombstones", place / "data" / "2_silver" / "tombstones")
        return [step.run(lake, CONFIG) for step in INFLOW], content(lake)


@pytest.mark.parametrize("seed", range(4))
def test_appended_batches_give_what_all_at_once_gives(tmp_path, seed):
    """After each batch of new and changed files, in any order, every table and summary is that of a full run."""
    draw, folder = random.Random(seed), tmp_path / "project"
    folder.mkdir()
    for number in range(3):
        put_in(folder, draw, number, change=number == 2 and seed % 2 == 1)
        summaries = appended(folder)
    expected_summaries, expected = in_full(folder, tmp_path / "full")
    with Lakehouse(folder) as lake:
        assert expected == content(lake)
    assert expected_summaries == summaries


def test_what_is_withdrawn_forgotten_upserted_and_removed(tmp_path):
    """Deleted rows, tombstones, upserts and files that are gone leave what a full run leaves."""
    draw, folder = random.Random(9), tmp_path / "project"
    folder.mkdir()
    put_in(folder, draw, 0, change=False)
    appended(folder)
    newest = {"Id": "last", "Name": "Last", "IsDeleted": True, "LastModifiedDate": "2025-01-01T00:00:00Z"}
    (folder / "crm" / "98.json").write_text(json.dumps({"records": [newest]}))
    inbox = folder / "data" / "inbox"
    inbox.mkdir(parents=True)
    (inbox / "phone-1.jsonl").write_text(json.dumps({"source_key": "1", "full_name": "Cy Dee"}) + "\n")
    appended(folder)
    (inbox / "phone-2.jsonl").write_text(json.dumps({"source_key": "1", "full_name": "Cy Doe"}) + "\n")
    for step in (
        lambda: None,
        lambda: forget(folder, "web:9"),
        lambda: sorted((folder / "shop").iterdir())[0].rename(folder / "shop" / "moved.csv"),
    ):
        step()
        summaries = appended(folder)
        expected_summaries, expected = in_full(folder, tmp_path / "full")
        shutil.rmtree(tmp_path / "full")
        with Lakehouse(folder) as lake:
            assert expected == content(lake)
        assert expected_summaries == summaries
    assert "crm:last" not in [row[0] for row in expected["silver.records"]]
    assert "phone:1" in [row[0] for row in expected["silver.records"]]


def forget(folder: Path, record: str) -> None:
    with Lakehouse(folder) as lake:
        bury(lake, [("record", record)])


def test_only_files_that_are_new_or_changed_are_read(tmp_path, monkeypatch):
    """A file that was landed is not read again, and what it holds stays in the files of the tables."""
    draw, folder = random.Random(3), tmp_path / "project"
    folder.mkdir()
    put_in(folder, draw, 0, change=False)
    appended(folder)
    read, look = [], sources.landing.read_through
    monkeypatch.setattr(
        "c360ml.sources.landing.read_through",
        lambda con, extract, scratch: read.append(extract.name) or look(con, extract, scratch),
    )
    with Lakehouse(folder) as lake:
        before = {table.path: set(lake.files(table)) for table in WRITTEN}
    (folder / "web" / "new.csv").write_text(
        "source_key,full_name,email,phone,date_of_birth,postcode,updated_at\n77,Nu Ray,,,,,\n"
    )
    appended(folder)
    with Lakehouse(folder) as lake:
        after = {table.path: set(lake.files(table)) for table in WRITTEN}
        assert ("web:77", "ray") in lake.rows(f"select record_id, surname from {lake.open(tables.RECORDS)}")
    assert ["web/new.csv"] == read
    kept = [table.path for table in WRITTEN if before[table.path] <= after[table.path]]
    assert {"bronze.source_rows", "bronze.customers", "silver.records", "silver.purchases"} <= set(kept)


@pytest.mark.parametrize(
    "killed_at", ["bronze.source_rows", "bronze.customers", "bronze.dead_letters", "silver.records"]
)
def test_a_killed_append_is_repeated(tmp_path, monkeypatch, killed_at):
    """An append that was stopped right after it had written a table is done again, and nothing is there twice."""
    draw, folder = random.Random(5), tmp_path / "project"
    folder.mkdir()
    put_in(folder, draw, 0, change=False)
    appended(folder)
    put_in(folder, draw, 1, change=True)
    (folder / "web" / "00.csv").write_text("source_key,full_name\nnew,Ann Ray\n,Nobody\n")
    with monkeypatch.context() as patch:
        amend = Lakehouse.amend

        def amend_and_stop(lake, table, *args, **named):
            amend(lake, table, *args, **named)
            if table.path == killed_at:
                raise KeyboardInterrupt

        patch.setattr(Lakehouse, "amend", amend_and_stop)
        with pytest.raises(KeyboardInterrupt):
            appended(folder)
    summaries = appended(folder)
    expected_summaries, expected = in_full(folder, tmp_path / "full")
    with Lakehouse(folder) as lake:
        assert expected == content(lake)
    assert expected_summaries == summaries


def test_rows_of_the_future_are_accepted_when_it_has_come(tmp_path):
    """A row dated after the day it was landed is judged again with the next files."""
    folder = tmp_path / "project"
    for name in ("web", "shop"):
        (folder / name).mkdir(parents=True)
    (folder / "web" / "1.csv").write_text("source_key,full_name\n1,Ann Lee\n")
    (folder / "shop" / "1.csv").write_text(
        "source_key,customer_key,sold_on,amount\n1,1,2099-01-01,5\n2,1,2024-01-01,5\n"
    )
    config = Config.parse({"sources": [source.model_dump(exclude_none=True) for source in CONFIG.sources[1:3]]})
    with Lakehouse(folder) as lake:
        sources.land(lake, config)
        sources.validate(lake, config)
        standardize.standardize(lake, config)
        (folder / "shop" / "2.csv").write_text("source_key,customer_key,sold_on,amount\n3,1,2024-01-01,5\n")
        sources.append_landed(lake, config)
        landed = f"from {tables.SOURCE_ROWS.path} where file = 'shop/2.csv'"
        gained = f"select * replace (timestamptz '2099-06-01' as loaded_at) {landed}"
        with lake.scratch("again", f"select source, file from ({gained})"):
            lake.amend(tables.SOURCE_ROWS, gained, lost="again")
        assert 3 == sources.append_valid(lake, config)["by_entity"]["purchases"]["accepted"]
        assert 3 == standardize.append_standard(lake, config)["purchases"]
