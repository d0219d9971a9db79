"""Forgetting a person: nothing is left of them, they do not come back, and a kill in the middle is mended."""

from __future__ import annotations

import shutil

import duckdb
import pytest
from filelock import FileLock

from c360ml import tables
from c360ml.errors import DataError, ProjectError
from c360ml.identity.id_story import explain_id, explain_record
from c360ml.lakehouse import Lakehouse
from c360ml.pipeline import forget as forget_module
from c360ml.pipeline import run_pipeline
from c360ml.pipeline.forget import NOTE_FILE, forget_person

PERSON = """
    select master_id, list(record_id order by record_id), list(distinct email) filter (where email is not null),
        list(distinct phone) filter (where phone is not null)
    from silver.identities join silver.records using (record_id)
    group by master_id
    having count(*) >= 3 and count(distinct email) > 0
        and bool_and(email is null or email not in (select email from silver.records group by all having count(*) > 9))
    order by (select count(*) from gold.interactions as i where i.master_id = identities.master_id) desc, master_id
    limit 1
"""


@pytest.fixture(scope="module")
def project(small_world_project, tmp_path_factory):
    """A copy of the small world of which a person was forgotten after a kill, then run again."""
    folder = tmp_path_factory.mktemp("forgotten") / "project"
    return shutil.copytree(small_world_project, folder)


@pytest.fixture(scope="module")
def forgotten(project):
    """The person, looked up before; the erasure was killed, tried again, and another run followed."""
    with Lakehouse(project) as lake:
        for table in (tables.IDENTITIES, tables.RECORDS, tables.INTERACTIONS):
            lake.open(table)
        master, records, emails, phones = lake.rows(PERSON)[0]
        emails = [e for e in emails if not lake.one(_OTHERS.format("email"), {"v": e, "r": records})]
        phones = [p for p in phones if not lake.one(_OTHERS.format("phone"), {"v": p, "r": records})]
        customers = lake.one("select count(distinct master_id) from silver.identities")
    person = {"master": master, "records": records, "secret": [*emails, *phones], "customers": customers}
    assert person["secret"]
    (project / "models" / "note.json").write_text(f'{{"hottest_example": "{records[0]}"}}')
    (project / "data" / "index").mkdir(exist_ok=True)
    (project / "data" / "index" / "x.duckdb").write_text(emails[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forget_module, "_delete_derived", _killed)
        with pytest.raises(KeyboardInterrupt):
            forget_person(project, record=records[0])
    person["told"] = forget_person(project, record=records[0])
    person["left_by_forget"] = cells_with(project, person)
    person["rerun"] = run_pipeline(project)
    return person


_OTHERS = "select count(*) from silver.records where {} = $v and not list_contains($r, record_id)"


def _killed(*_):
    """Stop as a person does who loses patience."""
    raise KeyboardInterrupt


def cells_with(folder, person):
    """Files below the folder that hold a value of a person: Parquet read cell by cell, others as bytes."""
    values = [*person["secret"], *person["records"], person["master"]]
    found = set()
    for path in [path for name in ("data", "models") for path in (folder / name).rglob("*") if path.is_file()]:
        if path.suffix == ".parquet":
            rows = duckdb.connect().execute("select * from read_parquet($path)", {"path": str(path)}).fetchall()
            cells = {str(cell).casefold() for row in rows for cell in row if isinstance(cell, (str, list))}
            texts = "\n".join(cell for cell in cells if "{" in cell or "[" in cell)
            held = [v for v in map(str.casefold, values) if v in cells or f'"{v}"' in texts or f"'{v}'" in texts]
        else:
            content = path.read_bytes().lower()
            held = [value for value in values if f'"{value}"'.lower().encode() in content]
        found |= {path.relative_to(folder)} if held else set()
    return found


def test_nothing_is_left_of_a_forgotten_person(project, forgotten):
    """After forgetting, and after the next run, no table of any version, log, model or index holds their values."""
    assert set() == forgotten["left_by_forget"]
    assert set() == cells_with(project, forgotten)
    assert not (project / "data" / "index" / "x.duckdb").exists()
    assert not (project / NOTE_FILE).exists()


def test_the_person_was_there_before(small_world_project, forgotten):
    """The search that finds nothing afterwards finds the person in the project as it was."""
    assert len(cells_with(small_world_project, forgotten)) > 10


def test_the_erasure_tells_what_it_did(forgotten):
    """The command that finished tells how many records it erased and in which files it blotted them out."""
    told = forgotten["told"]
    assert (len(forgotten["records"]), len(forgotten["records"])) == (told.records, told.rows["silver.records"])
    assert "models/note.json" in told.files_changed
    assert told.files_searched > 100


def test_a_forgotten_person_does_not_come_back(project, forgotten):
    """A run over the same extracts leaves the person's rows out, counts them, and keeps everybody else."""
    landed = forgotten["rerun"].summary("land")
    assert landed["forgotten_rows"] >= len(forgotten["records"])
    assert sum(landed["by_source"].values()) == landed["rows"] + landed["forgotten_rows"]
    with Lakehouse(project) as lake:
        known = {row[0] for row in lake.rows(f"select record_id from {lake.open(tables.RECORDS)}")}
        raw = lake.one(f"select count(*) from {lake.open(tables.DEAD_LETTERS)} where contains(raw, $v)",
                       {"v": forgotten["secret"][0]})  # fmt: skip
    assert set() == known & set(forgotten["records"])
    assert 0 == raw


def test_untouched_customers_keep_their_ids(project, small_world_project, forgotten):
    """Customers whose records stay together keep their IDs when somebody else is forgotten."""
    clusters = []
    for folder in (small_world_project, project):
        with Lakehouse(folder) as lake:
            clusters.append(dict(lake.rows(f"""
                select list(record_id order by record_id)::varchar, master_id
                from {lake.open(tables.IDENTITIES)} group by master_id
            """)))  # fmt: skip
    before, after = clusters
    same = set(before) & set(after)
    assert len(same) > 0.9 * forgotten["customers"]
    assert {each: before[each] for each in same} == {each: after[each] for each in same}


def test_tombstones_and_ledger_name_nobody(project, forgotten):
    """What stays of a person is digests, and an event without an ID."""
    with Lakehouse(project) as lake:
        assert lake.one(f"select count(*) from {lake.open(tables.TOMBSTONES)}") >= len(forgotten["records"]) + 1
        lake.open(tables.IDENTITY_LEDGER)
        erased = lake.rows("select master_id, record_id, records from silver.identity_ledger where event = 'erased'")
        assert [(None, None, len(forgotten["records"]))] == erased
        with pytest.raises(DataError, match="asked to be forgotten"):
            explain_id(lake, forgotten["master"])
        with pytest.raises(DataError, match="asked to be forgotten"):
            explain_record(lake, forgotten["records"][0])
    with pytest.raises(DataError, match="forgotten already"):
        forget_person(project, master_id=forgotten["master"])


def test_unknown_people_and_running_projects_are_refused(project, forgotten):
    """An unknown record or ID is a clear error, and so is another run at work."""
    with pytest.raises(DataError, match="write a record as SOURCE:KEY"):
        forget_person(project, record="crm:nobody")
    with FileLock(project / "data" / ".lock"), pytest.raises(ProjectError, match="runs once at a time"):
        forget_person(project, record="crm:nobody")


def test_saying_no_changes_nothing(project, forgotten):
    """Who does not confirm erases nothing."""
    with Lakehouse(project) as lake:
        record = lake.one(f"select min(record_id) from {lake.open(tables.IDENTITIES)}")
        before = {table.path: lake.version(table) for table in tables.ALL}
        assert forget_person(project, record=record, confirm=lambda person: False) is None
        assert before == {table.path: lake.version(table) for table in tables.ALL}


def test_what_is_left_stops_the_command(project, forgotten, monkeypatch):
    """A file that still holds a value is named, and the next call finishes the work."""
    with Lakehouse(project) as lake:
        record = lake.one(f"select max(record_id) from {lake.open(tables.IDENTITIES)}")
    strange = project / "models" / "strange.bin"
    strange.write_text(f'"{record}"')
    with pytest.raises(ProjectError, match=r"strange\.bin"):
        forget_person(project, record=record)
    strange.unlink()
    told = forget_person(project, record=record)
    assert told is not None and told.files_searched > 100
